// The open streams of all clients, for operators.
import { json, request } from './request';
import type { StreamsPage } from './types';

/** The orders that the hub knows: the oldest first, the furthest behind first, the most bytes first. */
export const SORTS = ['since', 'behind', 'sent_bytes'] as const;
export type StreamSort = (typeof SORTS)[number];

/** Streams of one page: what a person reads, and the hub answers at once. */
export const PAGE = 100;

export interface StreamsQuery {
  sort: StreamSort;
  /** Those of this holder; empty: all. */
  holder: string;
  /** Those that receive this topic, or ask for this very pattern; empty: all. */
  topic: string;
  /** The `next` of the page before; empty: the first page. */
  after: string;
}

/** @throws HubError */
export function openStreams({ sort, holder, topic, after }: StreamsQuery, signal: AbortSignal): Promise<StreamsPage> {
  const query = new URLSearchParams({ sort, limit: String(PAGE) });
  if (holder) query.set('holder', holder);
  if (topic) query.set('topic', topic);
  if (after) query.set('after', after);
  return json<StreamsPage>('admin/streams', { query, signal });
}

/** Ends one stream: its client is told to come back. @throws HubError */
export async function endStream(id: string): Promise<void> {
  await request(`admin/streams/${encodeURIComponent(id)}`, { method: 'DELETE' });
}

/** Ends all streams of a holder. Returns how many. @throws HubError */
export async function endStreamsOf(holder: string): Promise<number> {
  const { ended } = await json<{ ended: number }>('admin/streams', { method: 'DELETE', query: new URLSearchParams({ holder }) });
  return ended;
}
