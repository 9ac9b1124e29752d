// "Cut the connection": the promise of the hub, tried out by the page on itself.
import { useState } from 'preact/hooks';
import { plural } from '../../format';
import { mayPublish } from '../../hub/access';
import { exampleOf } from '../../hub/pattern';
import { faultless, span, verdict } from './crossing';
import { useTick } from './hooks';
import type { Watch } from './watch';

/** Topics for trying things out: there the ticks are chosen beforehand. */
const FOR_TRYING = /^(demo|test|try|play)([/._-]|$)/;

export function CutPanel({ watch }: { watch: Watch }) {
  useTick(250);
  const filter = watch.selection.value?.topic ?? '';
  const topic = exampleOf(filter);
  const [chosen, choose] = useState<boolean | null>(null);
  const offered = mayPublish(topic);
  const ticking = offered && (chosen ?? FOR_TRYING.test(topic));
  const live = watch.state.value.name === 'live';
  return (
    <>
      <button type="button" disabled={!live} onClick={() => watch.cut(ticking ? topic : null)}>
        Cut the connection
      </button>
      {offered && (
        <label class="check live-tick">
          <input type="checkbox" checked={ticking} onChange={(event) => choose(event.currentTarget.checked)} />
          <span>
            Publish a tick<span class="live-tick-more"> each 0.1 s while it is cut</span>
            {topic !== filter && (
              <>
                {' '}
                to <code>{topic}</code>
              </>
            )}
          </span>
        </label>
      )}
    </>
  );
}

/** What the cut that the user caused has cost. */
export function CutReport({ watch }: { watch: Watch }) {
  useTick(250);
  void watch.told.value;
  const crossing = watch.crossing.value;
  const ticks = watch.ticks.published.value;
  const failed = watch.ticks.error.value;
  if (!crossing) return null;
  const done = crossing.comparison !== null || crossing.unchecked !== null;
  const kind = !done ? 'info' : faultless(crossing) ? 'good' : crossing.gaps.length || !crossing.unchecked ? 'bad' : 'warn';
  return (
    <div class="note live-cut" data-kind={kind} data-tone={kind}>
      <p role="status" aria-label="Result of the cut">
        {done ? (
          <strong>{verdict(crossing)}</strong>
        ) : crossing.backAt ? (
          'Connected again: the hub sends what came meanwhile, and the page compares it with the log.'
        ) : (
          <>
            No connection for {span(Date.now() - crossing.lostAt)}.
            {ticks > 0 && ` ${plural(ticks, 'tick')} published meanwhile, which this page does not receive.`} It comes back by itself, with the id of the
            last event.
          </>
        )}
      </p>
      {done && !crossing.unchecked && (
        <p class="muted">
          The ids that came were compared with the log, read separately after the cut.
          {ticks > 0 && ` ${plural(ticks, 'tick')} had been published by this page meanwhile.`}
        </p>
      )}
      {failed && <p class="muted">No more ticks were published: {failed}</p>}
      <button type="button" class="quiet" aria-label="Dismiss the result" onClick={() => (watch.crossing.value = null)}>
        ✕
      </button>
    </div>
  );
}
