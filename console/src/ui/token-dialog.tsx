import { signal } from '@preact/signals';
import { useState } from 'preact/hooks';
import { access, refreshAccess } from '../hub/access';
import { setToken, token } from '../hub/credential';
import { tokenWanted } from '../hub/request';
import type { Whoami } from '../hub/types';
import { Dialog } from './dialog';

const open = signal(false);

/** Opens the dialog for a token. */
export const askForToken = (): void => void (open.value = true);

function close() {
  open.value = false;
  tokenWanted.value = null;
}

/** Who the hub takes this page for; opens the dialog. */
export function TokenButton() {
  const state = access.value;
  const label =
    state.state !== 'known'
      ? state.state === 'failed' && state.error.needsToken
        ? 'Token refused'
        : 'Token'
      : state.who.authentication === 'open'
        ? 'Open hub'
        : (state.who.holder ?? 'No token');
  return (
    <button type="button" class="token-button" data-wanted={tokenWanted.value !== null} onClick={askForToken}>
      <span class="hidden">Token: </span>
      {label}
    </button>
  );
}

export function TokenDialog() {
  const [typed, setTyped] = useState('');
  const state = access.value;
  const held = token() !== null;
  if (!open.value) return null;
  const use = (event: Event) => {
    event.preventDefault();
    setToken(typed.trim());
    tokenWanted.value = null;
    setTyped('');
  };
  return (
    <Dialog title="Token" onClose={close}>
      {state.state === 'failed' ? (
        <p class="note" data-kind="bad">{state.error.detail}</p>
      ) : (
        tokenWanted.value && <p class="note" data-kind="warn">{tokenWanted.value}</p>
      )}
      {state.state === 'known' && <Grants who={state.who} />}
      {!(state.state === 'known' && state.who.authentication === 'open') && (
        <form class="row" onSubmit={use}>
          <label class="field grow">
            Token
            <input
              type="password"
              autocomplete="off"
              spellcheck={false}
              autocapitalize="off"
              required
              autofocus
              pattern="\s*[\x21-\x7e]+\s*"
              title="the token alone, without spaces"
              value={typed}
              onInput={(event) => setTyped(event.currentTarget.value)}
            />
          </label>
          <button class="main">Use it</button>
        </form>
      )}
      <p class="muted">The token stays in this tab until you close it. It is never in an address, and the hub does not log it.</p>
      <div class="row end">
        <button type="button" onClick={() => void refreshAccess()}>
          Check again
        </button>
        {held && (
          <button type="button" onClick={() => setToken(null)}>
            Forget it
          </button>
        )}
      </div>
    </Dialog>
  );
}

function Grants({ who }: { who: Whoami }) {
  return (
    <>
      <p>
        {who.authentication === 'open' && 'This hub is open: whoever reaches its address may publish, read and delete.'}
        {who.authentication === 'anonymous' && 'No token is in use. This is what everybody may do here.'}
        {(who.authentication === 'token' || who.authentication === 'jwt') && (
          <>
            You are <strong>{who.holder}</strong>
            {who.expires && <> until {new Date(who.expires).toLocaleString('en-GB')}</>}.
          </>
        )}
      </p>
      <dl class="facts">
        <dt>Publish</dt>
        <dd>{who.publish.length ? who.publish.map((pattern) => <code key={pattern}>{pattern}</code>) : 'nothing'}</dd>
        <dt>Subscribe</dt>
        <dd>{who.subscribe.length ? who.subscribe.map((pattern) => <code key={pattern}>{pattern}</code>) : 'nothing'}</dd>
        {who.relay && (
          <>
            <dt>Models</dt>
            <dd>{who.models.length ? who.models.map((pattern) => <code key={pattern}>{pattern}</code>) : 'none'}</dd>
          </>
        )}
        <dt>Operate</dt>
        <dd>{who.admin ? 'yes: figures, streams, settings of topics, deleting' : 'no'}</dd>
      </dl>
    </>
  );
}
