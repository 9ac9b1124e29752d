import type { ComponentChildren } from 'preact';
import { bytes, count, dateTime } from '../../format';
import { maySubscribe } from '../../hub/access';
import { readPage } from '../../hub/events';
import { shifted } from '../../hub/id';
import type { Topic } from '../../hub/types';
import { useResource } from '../../ui/resource';

/** The figures of a topic. */
export function Numbers({ topic: { topic, events, bytes: size, subscribers, first_id, last_id } }: { topic: Topic }) {
  const oldest = useTime(topic, first_id);
  const newest = useTime(topic, last_id);
  return (
    <dl class="topic-numbers" aria-label="Numbers">
      <Figure name="Events kept">
        <strong>{count(events)}</strong>
      </Figure>
      <Figure name="Data">
        <strong>{bytes(size)}</strong>
      </Figure>
      <Figure name="Streams" note="patterns included">
        <strong>{count(subscribers)}</strong>
      </Figure>
      <Figure name="Oldest kept" note={oldest}>
        {first_id === null ? <span class="muted">none</span> : <code>{first_id}</code>}
      </Figure>
      <Figure name="Newest" note={last_id !== null && events === 0 ? 'not kept any more' : newest}>
        {last_id === null ? <span class="muted">none yet</span> : <code>{last_id}</code>}
      </Figure>
    </dl>
  );
}

function Figure({ name, note, children }: { name: string; note?: string | null; children: ComponentChildren }) {
  return (
    <div class="topic-figure">
      <dt>{name}</dt>
      <dd>
        {children}
        {note && <small>{note}</small>}
      </dd>
    </div>
  );
}

/** When this event was published. */
function useTime(topic: string, id: string | null): string | null {
  const { value } = useResource(
    async (signal) => {
      if (id === null || !maySubscribe(topic)) return null;
      const [event] = (await readPage(topic, { last_event_id: shifted(id, -1) }, 1, signal)).events;
      return event?.id === id ? dateTime(new Date(event.time)).slice(0, 19) : null;
    },
    [topic, id],
  );
  return value;
}
