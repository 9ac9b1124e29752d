import type { EventSourceMessage } from 'eventsource-parser';

/** An event of a topic. `data` is the text as published; `event` is `message` if it has no name. */
export interface EventItem {
  type: 'event';
  topic: string;
  id: string;
  event: string;
  data: string;
  time: string;
}

/** Events that are gone. `topic` is null for a gap of the whole stream, `resumesAt` if nothing is kept. */
export interface GapItem {
  type: 'gap';
  topic: string | null;
  reason: 'trimmed' | 'lost' | 'unknown' | 'ahead';
  after: string | null;
  resumesAt: string | null;
}

/** The topic takes no more events, or was deleted. */
export interface EndItem {
  type: 'end';
  topic: string;
  reason: 'closed' | 'deleted';
  lastId: string | null;
}

/** The event `id` was taken back: forget it. `position` is the id of this item itself. */
export interface RemovedItem {
  type: 'removed';
  topic: string;
  id: string;
  position: string;
  time: string;
}

export type Item = EventItem | GapItem | EndItem | RemovedItem;

/** What a block of the stream means: an item, if it is one for the consumer, and the cursor after it, if it moves. */
export interface Decoded {
  item: Item | null;
  cursor: string | null;
}

/** Decodes a block of a stream with envelopes. */
export function decode({ event = 'message', id = '', data }: EventSourceMessage): Decoded {
  return { item: itemOf(event, data), cursor: id || null };
}

function itemOf(name: string, data: string): Item | null {
  switch (name) {
    case 'hub.gap': {
      const gap = JSON.parse(data);
      return {
        type: 'gap',
        topic: gap.topic ?? null,
        reason: gap.reason,
        after: gap.after ?? null,
        resumesAt: gap.resumes_at ?? null,
      };
    }
    case 'hub.end': {
      const end = JSON.parse(data);
      return { type: 'end', topic: end.topic, reason: end.reason, lastId: end.last_id ?? null };
    }
    case 'hub.removed': {
      const envelope = JSON.parse(data);
      const { id } = JSON.parse(envelope.data);
      return { type: 'removed', topic: envelope.topic, id, position: envelope.id, time: envelope.time };
    }
    default: {
      // `hub.cursor` moves the cursor and is no item. So may names that a later hub has.
      if (name.startsWith('hub.')) return null;
      const envelope = JSON.parse(data);
      return {
        type: 'event',
        topic: envelope.topic,
        id: envelope.id,
        event: envelope.event,
        data: envelope.data,
        time: envelope.time,
      };
    }
  }
}
