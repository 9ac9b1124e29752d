import { access, mayAdmin, refreshAccess } from '../hub/access';
import { Empty } from './empty';
import { Refusal } from './note';
import { askForToken } from './token-dialog';

/** In place of a view that is for operators. `title`: what is not shown. */
export function OperatorsOnly({ view, title }: { view: string; title: string }) {
  const state = access.value;
  return (
    <>
      <h1>{view}</h1>
      {state.state === 'failed' ? (
        <Refusal error={state.error} retry={() => void refreshAccess()} />
      ) : (
        <Empty title={title}>
          <p>They need a token that may operate the hub (admin), at the address that serves operators.</p>
          {!mayAdmin() && (
            <div class="row">
              <button type="button" onClick={askForToken}>
                Sign in
              </button>
            </div>
          )}
        </Empty>
      )}
    </>
  );
}
