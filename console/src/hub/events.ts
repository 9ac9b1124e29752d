// Events: reading pages, removing one, publishing. docs/PROTOCOL.md, "Pages and long polls", "Removing an event", "Publishing".
import { HUB, shellWord } from './address';
import { curlToken } from './credential';
import { shifted } from './id';
import { HubError, json, request } from './request';
import type { EventsPage, Receipt } from './types';

/** Where a page begins: one of the parameters of `GET /events`. */
export type PageStart =
  /** The newest events before this id. */
  | { before: string }
  /** The oldest events after this id. */
  | { last_event_id: string }
  /** `earliest`, `last:N`. */
  | { from: string }
  /** A time or an age. */
  | { since: string };

/** A page of a topic's events, in id order. */
export const readPage = (topic: string, start: PageStart, limit: number, signal?: AbortSignal): Promise<EventsPage> =>
  json<EventsPage>('events', {
    query: new URLSearchParams({ topic, limit: String(limit), ...start }),
    ...(signal && { signal }),
  });

/** Overwrites the event; a tombstone stays in its place. */
export async function removeEvent(topic: string, id: string): Promise<void> {
  await request('events/' + encodeURIComponent(id), { method: 'DELETE', query: new URLSearchParams({ topic }) });
}

/** A query for a command line: slashes stay readable. */
const readable = (query: Record<string, string>): string => new URLSearchParams(query).toString().replaceAll('%2F', '/');

/** The command line that reads this event. */
export const readCommand = (topic: string, id: string): string =>
  `curl ${curlToken()}-H 'Accept: application/json' ${shellWord(`${HUB}events?${readable({ topic, from: shifted(id, -1), limit: '1' })}`)}`;

/** The command line that publishes to the topic. */
export const publishCommand = (topic: string, data = 'Hello'): string =>
  `curl ${curlToken()}-d ${shellWord(data)} ${shellWord(`${HUB}publish?${readable({ topic })}`)}`;

/** An event to be published. */
export interface Draft {
  topic: string;
  /** Empty for `message`. */
  event: string;
  data: string;
  /** It is the topic's last event. */
  close: boolean;
}

export type Outcome =
  | { kind: 'published'; receipt: Receipt }
  | { kind: 'refused'; error: HubError }
  /** The event may be on disk or not. `why` is a part of a sentence. */
  | { kind: 'unknown'; why: string };

/** Publishes one draft at a time. A draft that got no answer is sent again with its Idempotency-Key, so it is published once. */
export class Publisher {
  private unanswered: { draft: string; key: string } | null = null;

  async publish({ topic, event, data, close }: Draft): Promise<Outcome> {
    const query = new URLSearchParams({ topic, ...(event && { event }), ...(close && { close: 'true' }) });
    const draft = `${query}\n${data}`;
    const key = this.unanswered?.draft === draft ? this.unanswered.key : crypto.getRandomValues(new Uint32Array(4)).join('-');
    this.unanswered = { draft, key };
    try {
      const receipt = await json<Receipt>('publish', {
        method: 'POST',
        query,
        body: data,
        headers: { 'Content-Type': 'text/plain', 'Idempotency-Key': key },
      });
      if (typeof receipt?.id !== 'string') return { kind: 'unknown', why: 'the answer is not one of the hub' };
      this.unanswered = null;
      return { kind: 'published', receipt };
    } catch (error) {
      if (!(error instanceof HubError)) throw error;
      if (error.status === 0) return { kind: 'unknown', why: 'no answer from the hub' };
      // With this code the event may be on disk or not, as without an answer.
      if (error.code === 'store-unavailable') return { kind: 'unknown', why: error.detail };
      if (!error.code) return { kind: 'unknown', why: error.detail };
      this.unanswered = null;
      return { kind: 'refused', error };
    }
  }

  /** Another draft is being written: the next one is a new event. */
  forget(): void {
    this.unanswered = null;
  }
}
