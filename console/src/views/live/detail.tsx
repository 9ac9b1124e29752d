// One event with everything that is known of it.
import { useEffect, useState } from 'preact/hooks';
import { bytes, dateTime } from '../../format';
import { readCommand } from '../../hub/events';
import { visible } from '../../text';
import { CopyButton } from '../../ui/copy';
import type { LiveEvent } from './entry';
import type { LiveStore } from './live-store';
import { isJson, removalText } from './row';
import { prettyText } from './pretty';

/** Characters shown at once: a browser needs seconds for the layout of a megabyte in one line. */
const MOST_CHARACTERS = 40_000;
/** Lines of pretty JSON that are made for the detail. */
const MOST_LINES = 20_000;

export function Detail({ store, event: given, onClose }: { store: LiveStore; event: LiveEvent; onClose(): void }) {
  // An event that has left the store is forgotten here, too, when it is removed.
  const [gone, setGone] = useState<string | null>(null);
  useEffect(() => store.onRemoved(setGone), [store]);
  const event = gone === given.id ? { ...given, data: '', event: 'hub.removed', size: 0, removed: true } : given;
  const json = isJson(event.data);
  const [pretty, setPretty] = useState(true);
  const [whole, setWhole] = useState(false);
  useEffect(() => setWhole(false), [event.n]);
  const text = json && pretty ? prettyText(event.data, MOST_LINES) : event.data;
  const shown = whole || text.length <= MOST_CHARACTERS ? text : text.slice(0, MOST_CHARACTERS);
  const removal = removalText(event);
  return (
    <section
      class="live-detail"
      aria-label="Event details"
      onKeyDown={(key) => {
        if (key.key !== 'Escape') return;
        key.preventDefault();
        onClose();
      }}
    >
      <header>
        <h2>Event</h2>
        <button type="button" class="quiet" aria-label="Close details" onClick={onClose}>
          ✕
        </button>
      </header>
      <dl class="facts">
        <dt>Id</dt>
        <dd>
          <code>{event.id}</code>
        </dd>
        <dt>Time</dt>
        <dd>
          <time dateTime={event.time}>{dateTime(new Date(event.time))}</time>
          <span class="muted">{event.replayed ? 'came by replay' : 'came live'}</span>
        </dd>
        <dt>Topic</dt>
        <dd>
          <code class="foreign">{visible(event.topic)}</code>
        </dd>
        <dt>Event</dt>
        <dd>
          <code class="foreign">{visible(event.event)}</code>
        </dd>
        <dt>Size</dt>
        <dd>{bytes(event.size)}</dd>
      </dl>
      <div class="row live-copies">
        <CopyButton text={event.data} label="Copy data" />
        <CopyButton text={event.id} label="Copy id" />
        <CopyButton text={readCommand(event.topic, event.id)} label="Copy curl" />
        {json && (
          <button type="button" class="small" aria-pressed={pretty} onClick={() => setPretty(!pretty)}>
            Pretty
          </button>
        )}
      </div>
      {removal ? (
        <p class="muted">{event.removed ? 'This event was removed. Its data is no longer on the hub, nor on this page.' : `${removal}.`}</p>
      ) : (
        <pre class="live-whole foreign" tabIndex={0} aria-label="Data">
          {visible(shown)}
        </pre>
      )}
      {shown.length < text.length && (
        <button type="button" class="small" onClick={() => setWhole(true)}>
          Show all {bytes(event.size)}
        </button>
      )}
    </section>
  );
}
