import { useState } from 'preact/hooks';

/** How long the button says that it has copied, in milliseconds. */
const SAID = 2000;

/** A button that copies a text. */
export function CopyButton({ text, label = 'Copy' }: { text: string; label?: string }) {
  const [said, setSaid] = useState<string | null>(null);
  const copy = async () => {
    setSaid((await copied(text)) ? 'Copied' : 'Select it and copy');
    setTimeout(() => setSaid(null), SAID);
  };
  return (
    <button type="button" class="small" onClick={() => void copy()}>
      <span aria-live="polite">{said ?? label}</span>
    </button>
  );
}

async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without TLS only localhost has navigator.clipboard.
    const field = document.createElement('textarea');
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand('copy');
    field.remove();
    return done;
  }
}

/** A command line to run in a terminal, with a button that copies it. */
export function Command({ children }: { children: string }) {
  return (
    <div class="command">
      <pre tabIndex={0}>
        <code>{children}</code>
      </pre>
      <CopyButton text={children} label="Copy" />
    </div>
  );
}
