// What is older than the first row: how much, and a way back to it.
import { count } from '../../format';
import { Refusal } from '../../ui/note';
import { useTick } from './hooks';
import { MAX_READ_BACK } from './live-store';
import { skippedText } from './marks';
import type { ReadBack } from './read-back';
import type { Watch } from './watch';

/** @param leftOut events that are held and are no rows, because a page can be only so high */
export function Earlier({ watch, readBack, leftOut }: { watch: Watch; readBack: ReadBack; leftOut: number }) {
  useTick(250);
  const { store } = watch;
  const state = readBack.state.value;
  if (state.name === 'failed') return <Refusal error={state.error} retry={() => void readBack.more()} />;
  const whole = store.skipped === 0 && watch.selection.value?.from.kind === 'earliest';
  const all = store.skipped === 0 && (state.name === 'oldest' || whole);
  return (
    <p class="live-earlier">
      {store.paused && <strong>Paused</strong>}
      {store.skipped + leftOut > 0 && <strong>{skippedText(store.skipped + leftOut)}</strong>}
      {leftOut > 0 && <span>{count(leftOut)} of them are held: “Text” shows them.</span>}
      {all && !leftOut && <span>From the oldest kept event</span>}
      {state.name === 'enough' && <span>{count(MAX_READ_BACK)} older events are as much as this page reads back. Watch from an id to go on.</span>}
      {!all && !leftOut && state.name !== 'enough' && (
        <button type="button" class="small" disabled={state.name === 'loading'} onClick={() => void readBack.more()}>
          {state.name === 'loading' ? 'Reading…' : store.skipped > 0 ? 'Read back' : 'Read older events'}
        </button>
      )}
    </p>
  );
}
