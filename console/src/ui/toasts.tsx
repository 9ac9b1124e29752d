// Short messages that go away by themselves: the outcome of an action, a notification.
import { signal } from '@preact/signals';

export interface Toast {
  id: number;
  kind: 'info' | 'good' | 'bad';
  title: string;
  text?: string;
}

/** Toasts shown at once; older ones go first. */
const MOST = 4;
/** How long one is shown, in milliseconds; twice that when it is bad. */
const SHOWN = 6000;

const toasts = signal<Toast[]>([]);
let next = 0;

export function toast(kind: Toast['kind'], title: string, text?: string): void {
  const id = next++;
  toasts.value = [...toasts.value, { id, kind, title, ...(text === undefined ? {} : { text }) }].slice(-MOST);
  setTimeout(() => dismiss(id), kind === 'bad' ? 2 * SHOWN : SHOWN);
}

const dismiss = (id: number) => (toasts.value = toasts.value.filter((toast) => toast.id !== id));

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map(({ id, kind, title, text }) => (
        <div key={id} class="toast" data-kind={kind}>
          <div>
            <strong>{title}</strong>
            {text && <p>{text}</p>}
          </div>
          <button type="button" class="quiet" aria-label="Dismiss" onClick={() => dismiss(id)}>
            ✕
          </button>
        </div>
      ))}
    </div>
  );
}
