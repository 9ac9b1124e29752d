import type { ComponentChildren } from 'preact';
import { mayPublish, maySubscribe } from '../../hub/access';
import { publishCommand } from '../../hub/events';
import { href } from '../../router';
import { Command } from '../../ui/copy';

const TOPIC = 'demo';

/** The first visit of an empty hub: what it does, in three steps. `done`: the first event is there. */
export function StartHere({ done, onHide }: { done: boolean; onHide(): void }) {
  const watch = href('live', '', { topic: TOPIC });
  return (
    <section class="card start" aria-labelledby="start">
      <header>
        <h2 id="start">Start here</h2>
        {done && (
          <button type="button" class="small" onClick={onHide}>
            Hide
          </button>
        )}
      </header>
      <p class="muted">
        Programs publish events to topics; pages and programs subscribe to them. An event is on disk before anyone sees it, so who comes
        back gets exactly what was missed.
      </p>
      <ol>
        <Step done={done} title="Publish an event">
          {mayPublish(TOPIC) ? (
            <Command>{publishCommand(TOPIC)}</Command>
          ) : (
            <p class="muted">This token may not publish to “{TOPIC}”. Take a topic that it may publish to.</p>
          )}
          {done && <p role="status">It is here, and on disk.</p>}
        </Step>
        <Step title="Watch events come">
          <p>
            {maySubscribe(TOPIC) ? <a href={watch}>Watch “{TOPIC}”</a> : <a href={href('live')}>Open the view</a>}, and publish again: it
            shows each event at once.
          </p>
        </Step>
        <Step title="Cut the connection">
          <p>
            There, press “Cut the connection” while events go on. The page comes back by its last id, and counts:
            missed 0, twice 0.
          </p>
        </Step>
      </ol>
    </section>
  );
}

function Step({ title, done = false, children }: { title: string; done?: boolean; children: ComponentChildren }) {
  return (
    <li data-done={done}>
      <h3>
        {title}
        {done && <span class="badge" data-tone="good">Done</span>}
      </h3>
      {children}
    </li>
  );
}
