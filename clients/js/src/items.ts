import type { EventSourceMessage } from 'eventsource-parser';
import { foreign } from './problem.js';

/** An event of a topic. `data` is the text as published, or binary data as base64; `event` is `message` if it has no name. */
export interface EventItem {
  type: 'event';
  topic: string;
  id: string;
  event: string;
  data: string;
  time: string;
  /** `base64` if `data` is binary data in standard base64; absent for text. */
  encoding?: 'base64';
  /** Where in a trace its publisher was (W3C Trace Context), if it said so. */
  traceparent?: string;
}

/**
 * Events that are gone. `topic` is null for a gap of the whole stream, or of topics of a pattern of which the hub knows nothing
 * any more; `resumesAt` if nothing is kept.
 */
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

/** The event `id` was removed: forget it. `position` is the id of this item itself. */
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
  try {
    return { item: itemOf(event, data), cursor: id || null };
  } catch {
    throw foreign('an event is no envelope');
  }
}

function itemOf(name: string, data: string): Item | null {
  // `hub.cursor` moves the cursor and is no item. So may names that a later hub has.
  if (name.startsWith('hub.') && !['hub.gap', 'hub.end', 'hub.removed'].includes(name)) return null;
  const value = JSON.parse(data);
  if (name === 'hub.gap') {
    return {
      type: 'gap',
      topic: maybe(value, 'topic'),
      reason: textOf(value, 'reason') as GapItem['reason'],
      after: maybe(value, 'after'),
      resumesAt: maybe(value, 'resumes_at'),
    };
  }
  const topic = textOf(value, 'topic');
  if (name === 'hub.end') {
    return {
      type: 'end',
      topic,
      reason: textOf(value, 'reason') as EndItem['reason'],
      lastId: maybe(value, 'last_id'),
    };
  }
  const [id, time, inner] = [textOf(value, 'id'), textOf(value, 'time'), textOf(value, 'data')];
  if (name === 'hub.removed') {
    return { type: 'removed', topic, id: textOf(JSON.parse(inner), 'id'), position: id, time };
  }
  const traceparent = maybe(value, 'traceparent');
  const encoding = maybe(value, 'encoding') as 'base64' | null;
  const item: EventItem = { type: 'event', topic, id, event: textOf(value, 'event'), data: inner, time };
  if (encoding !== null) item.encoding = encoding;
  if (traceparent !== null) item.traceparent = traceparent;
  return item;
}

/** A member that must be a text, of what must be an object. */
export function textOf(value: any, name: string): string {
  const text = value[name];
  if (typeof text !== 'string') throw new TypeError(name);
  return text;
}

function maybe(value: any, name: string): string | null {
  return value[name] == null ? null : textOf(value, name);
}
