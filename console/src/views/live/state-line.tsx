// How the stream is: its state, how much comes, and how late.
import { brief, bytes, count, duration, milliseconds } from '../../format';
import { hubAhead } from '../../hub/clock';
import { parts } from '../../hub/id';
import type { StreamState } from '../../hub/stream';
import { useTick } from './hooks';
import type { Watch } from './watch';

/** Between two looks at the figures, in milliseconds. */
const TICK = 500;
/** A lag older than that says nothing of now, in milliseconds. */
const LAG_SHOWN = 5000;

/** A difference of clocks that is not worth a word, in milliseconds. */
const SKEW = 50;
/** What a corrected clock cannot tell from nothing, in milliseconds. */
const CORRECTED = 2000;

export function StateLine({ watch }: { watch: Watch }) {
  useTick(TICK);
  const state = watch.state.value;
  const { store } = watch;
  const rate = watch.rate.read();
  return (
    <div class="live-state" data-state={state.name}>
      <p role="status" aria-label="Stream state">
        <i class="live-dot" aria-hidden="true" />
        <strong>{stateWord(state, watch)}</strong>
        {state.name === 'waiting' && <span class="muted"> {state.reason}; nothing will be missed</span>}
      </p>
      {state.name !== 'closed' && (
        <dl class="live-figures">
          <Figure name="Events">{count(store.total)}</Figure>
          <Figure name="Rate">
            {brief(rate.events < 10 ? Math.round(rate.events * 10) / 10 : Math.round(rate.events))} events/s
          </Figure>
          <Figure name="Data" spare>{bytes(Math.round(rate.bytes))}/s</Figure>
          <Figure name="Lag">{lagText(watch)}</Figure>
          <Figure name="Newest id" spare>
            <code>{watch.newest || '–'}</code>
          </Figure>
        </dl>
      )}
    </div>
  );
}

/** `spare`: not shown on a phone. */
const Figure = ({ name, spare, children }: { name: string; spare?: boolean; children: preact.ComponentChildren }) => (
  <div class={spare ? 'live-spare' : undefined}>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </div>
);

export function stateWord(state: StreamState, watch: Watch): string {
  switch (state.name) {
    case 'live':
      return watch.replaying ? 'Replaying' : 'Live';
    case 'connecting':
      return watch.begun ? 'Reconnecting' : 'Connecting';
    case 'waiting':
      return `Reconnecting in ${Math.max(0, Math.ceil((state.at - Date.now()) / 1000))} s:`;
    case 'ended':
      return `Ended: ${watch.ends.value.at(-1) ?? 'the topic is closed'}`;
    case 'refused':
      return `Refused: ${state.error.detail}`;
    case 'closed':
      return 'Nothing is watched';
  }
}

/** From the time of an event to its arrival; while replaying by how many ids the stream is behind. */
function lagText(watch: Watch): string {
  if (watch.replaying) {
    const [target, newest] = [parts(watch.target ?? ''), parts(watch.newest || watch.cursor)];
    if (target && newest && target.epoch === newest.epoch && target.seq > newest.seq) return `behind by ${count(Number(target.seq - newest.seq))} ids`;
  }
  if (!watch.lag || Date.now() - watch.lag.at > LAG_SHOWN) return '–';
  const { ms } = watch.lag;
  // By a corrected clock it is known to about a second.
  if (hubAhead()) return ms < CORRECTED ? 'under 2 s' : duration(ms);
  return ms < -SKEW ? `0 ms, its clock ${duration(-ms)} ahead` : milliseconds(Math.max(0, ms));
}
