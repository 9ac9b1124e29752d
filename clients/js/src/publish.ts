import { delayOf, sleep } from './delay.js';
import { stopwatch } from './elapsed.js';
import { Attempt, Hub, type HubOptions, NetworkError, TooLate } from './hub.js';
import { HubProblem, PublishUncertain, foreign } from './problem.js';

/** The event is durable. `subscribers` counts the open streams that it goes to. */
export interface Receipt {
  topic: string;
  id: string;
  time: string;
  subscribers: number;
}

/** Data of an event: a text is published as it is, anything else as JSON. */
export type Data = string | number | boolean | null | object;

export interface Envelope {
  topic: string;
  data: Data;
  /** The event's name; `message` if it has none. */
  event?: string | undefined;
  /** Milliseconds that readers should wait before they reconnect. */
  retry?: number | undefined;
  /** This is the topic's last event. */
  close?: boolean | undefined;
}

export interface BatchOptions extends HubOptions {
  /** Publish only if this is the topic's last id; null: only if it has none. */
  ifMatch?: string | null | undefined;
  /** The Idempotency-Key: 1 to 255 ASCII characters. By default a random one for each call. */
  key?: string | undefined;
  /** How long to try, in milliseconds: less than the hub remembers keys. */
  giveUpAfter?: number | undefined;
}

export type PublishOptions = BatchOptions & Omit<Envelope, 'topic' | 'data'>;

/** The hub's window for a key is 10 minutes by default. After it, a retry could be a second event. */
const WINDOW = 540_000;

/** First delay before a retry; it doubles. A hub restarts within seconds. */
const FIRST_WAIT = 500;

/** Time for one attempt: what the hub gives a body, 30 s and 8 KiB a second, and as much again for the answer. */
const ATTEMPT = 60_000;
const BYTES_PER_MS = 8;

/** An attempt that begins has a little time, also at the very end. */
const LAST = 100;

/** Publishes one event. Tries again, with the same key, while the outcome is unknown or the hub asks to wait. */
export async function publish(
  url: string | URL,
  topic: string,
  data: Data,
  options: PublishOptions = {},
): Promise<Receipt> {
  const { event, retry, close } = options;
  const receipt = await send(new Hub(url, options), envelopeText({ topic, data, event, retry, close }), options);
  return receipt as Receipt;
}

/** Publishes several events as one commit: all or nothing, in order. */
export async function publishBatch(
  url: string | URL,
  events: readonly Envelope[],
  options: BatchOptions = {},
): Promise<Receipt[]> {
  const receipts = await send(new Hub(url, options), `[${events.map(envelopeText).join()}]`, options);
  return (receipts as { events: Receipt[] }).events;
}

/** An envelope as JSON. */
export function envelopeText(envelope: Envelope): string {
  if (envelope.data === undefined) throw new TypeError('an event needs data; "" is none');
  return JSON.stringify(envelope);
}

/** Sends one publish until its outcome is known. Once it is uncertain, whatever else ends it does not hide that. */
export async function send(hub: Hub, body: string, options: BatchOptions): Promise<unknown> {
  const { ifMatch, signal, key = randomKey(), giveUpAfter = WINDOW } = options;
  const headers: Record<string, string> = { 'content-type': 'application/json', 'idempotency-key': key };
  if (ifMatch !== undefined) headers['if-match'] = `"${ifMatch ?? 'none'}"`;
  const elapsed = stopwatch();
  let asked = false;
  // Directly before each request: a page that was frozen, or a computer that slept, wakes up later than it planned, and
  // the hub may have forgotten the key by then.
  const mayAsk = () => {
    if (asked && elapsed() > giveUpAfter) return false;
    return (asked = true);
  };
  let uncertain = false;
  let failure: NetworkError | HubProblem | null = null;
  try {
    for (let failures = 1; ; failures += 1) {
      const attempt = new Attempt(signal);
      try {
        attempt.limit(Math.min(ATTEMPT + body.length / BYTES_PER_MS, Math.max(giveUpAfter - elapsed(), LAST)));
        const response = await hub.send('/publish', { method: 'POST', headers, body }, attempt, mayAsk);
        const kind = response.headers.get('content-type') ?? 'nothing';
        if (!kind.startsWith('application/json')) throw foreign(`it is ${kind}`);
        return await attempt.network(() => response.json());
      } catch (error) {
        if (!(error instanceof NetworkError) && !(error instanceof HubProblem && error.temporary)) throw error;
        failure = error;
        // Of the hub's temporary problems only this one leaves it open; one that is not the hub's may, too.
        uncertain ||=
          error instanceof NetworkError ? attempt.sent : error.code === null || error.code === 'store-unavailable';
      } finally {
        attempt.end();
      }
      const retryAfter = failure instanceof HubProblem ? failure.retryAfter : 0;
      const delay = delayOf(FIRST_WAIT, retryAfter, failures, Math.random());
      if (elapsed() + delay > giveUpAfter) throw failure;
      await sleep(delay, signal);
    }
  } catch (error) {
    const cause = error instanceof TooLate ? failure : error;
    throw uncertain ? new PublishUncertain(key, cause) : cause;
  }
}

/** 128 random bits. `crypto.randomUUID` is missing in pages without HTTPS. */
export function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
