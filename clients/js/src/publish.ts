import { bodyOf } from './body.js';
import { delayOf, sleep } from './delay.js';
import { stopwatch } from './elapsed.js';
import { Attempt, Hub, type HubOptions, NetworkError, TooLate } from './hub.js';
import { textOf } from './items.js';
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
  /** Where in a trace it is published (W3C Trace Context); its readers are given it. */
  traceparent?: string | undefined;
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

/** Largest answer: 300 bytes and the topic for each of the 100,000 events of a batch are fewer. */
const MAX_ANSWER = 128 * 1024 * 1024;

/** An attempt that begins has a little time, also at the very end. */
const LAST = 100;

/** Publishes one event. Tries again, with the same key, while the outcome is unknown or the hub asks to wait. */
export async function publish(
  url: string | URL,
  topic: string,
  data: Data,
  options: PublishOptions = {},
): Promise<Receipt> {
  const { event, retry, close, traceparent } = options;
  const text = envelopeText({ topic, data, event, retry, close, traceparent });
  return send(new Hub(url, options), text, options, receiptOf);
}

/** Publishes several events as one commit: all or nothing, in order. */
export async function publishBatch(
  url: string | URL,
  events: readonly Envelope[],
  options: BatchOptions = {},
): Promise<Receipt[]> {
  return send(new Hub(url, options), `[${events.map(envelopeText).join()}]`, options, receiptsOf);
}

/** The receipts in the answer to a batch. */
export function receiptsOf(answer: any): Receipt[] {
  return answer.events.map(receiptOf);
}

function receiptOf(answer: any): Receipt {
  const { subscribers } = answer;
  if (typeof subscribers !== 'number') throw new TypeError('subscribers');
  return { topic: textOf(answer, 'topic'), id: textOf(answer, 'id'), time: textOf(answer, 'time'), subscribers };
}

/** An envelope as JSON. */
export function envelopeText(envelope: Envelope): string {
  if (envelope.data === undefined) throw new TypeError('an event needs data; "" is none');
  return JSON.stringify(envelope);
}

/** Sends one publish until its outcome is known, which `take` reads from the answer. Once it is uncertain, whatever else ends it does not hide that. */
export async function send<T>(hub: Hub, body: string, options: BatchOptions, take: (answer: unknown) => T): Promise<T> {
  const { ifMatch, signal, key = randomKey(), giveUpAfter = WINDOW } = options;
  const headers: Record<string, string> = { 'content-type': 'application/json', 'idempotency-key': key };
  if (ifMatch !== undefined) headers['if-match'] = `"${ifMatch ?? 'none'}"`;
  checkGiveUpAfter(giveUpAfter);
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
        const text = await attempt.network(() => bodyOf(response, MAX_ANSWER));
        if (text === null) throw foreign('it is larger than any that a hub sends');
        return taken(text, take);
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

/** Not Infinity: every hub forgets a key, and a retry is a second event then. */
export function checkGiveUpAfter(ms: number): void {
  if (!(ms >= 0 && ms < Infinity)) throw new RangeError('giveUpAfter: milliseconds, not negative');
}

function taken<T>(text: string, take: (answer: unknown) => T): T {
  try {
    return take(JSON.parse(text));
  } catch {
    throw foreign('it is no receipt');
  }
}

/** 128 random bits. `crypto.randomUUID` is missing in pages without HTTPS. */
export function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
