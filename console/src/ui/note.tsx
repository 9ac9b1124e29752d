import type { ComponentChildren } from 'preact';
import { HubError } from '../hub/request';
import { askForToken } from './token-dialog';

/** A message within a view. */
export function Note({ kind, children }: { kind: 'info' | 'warn' | 'bad'; children: ComponentChildren }) {
  return (
    <div class="note" data-kind={kind} role={kind === 'bad' ? 'alert' : undefined}>
      {children}
    </div>
  );
}

/** A refusal, and what can be done about it. */
export function Refusal({ error, retry }: { error: HubError; retry?: () => void }) {
  return (
    <Note kind="bad">
      <p>{error.detail}</p>
      {(error.needsToken || retry) && (
        <div class="row">
          {error.needsToken && (
            <button type="button" onClick={askForToken}>
              Sign in
            </button>
          )}
          {retry && (
            <button type="button" onClick={retry}>
              Try again
            </button>
          )}
        </div>
      )}
    </Note>
  );
}
