// What is older than the first row: how much, and a way back to it.
import { count } from '../../format';
import { Refusal } from '../../ui/note';
import { useTick } from './hooks';
import { MAX_READ_BACK } from './live-store';
import { skippedText } from './marks';
import type { ReadBack } from './read-back';
import type { Watch } from './watch';

export function Earlier({ watch, readBack }: { watch: Watch; readBack: ReadBack }) {
  useTick(250);
  const { store } = watch;
  const state = readBack.state.value;
  if (state.name === 'failed') return <Refusal error={state.error} retry={() => void readBack.more()} />;
  const all = state.name === 'oldest' && store.skipped === 0;
  return (
    <p class="live-earlier">
      {store.skipped > 0 && <strong>{skippedText(store.skipped)}</strong>}
      {all && <span>This is everything that the hub keeps.</span>}
      {state.name === 'enough' && <span>{count(MAX_READ_BACK)} older events are as much as this page reads back. Watch from an id to go on.</span>}
      {!all && state.name !== 'enough' && (
        <button type="button" class="small" disabled={state.name === 'loading'} onClick={() => void readBack.more()}>
          {state.name === 'loading' ? 'Reading…' : store.skipped > 0 ? 'Read back' : 'Read older events'}
        </button>
      )}
    </p>
  );
}
