import { Hub, type HubOptions } from './hub.js';
import { type Data, type Receipt, envelopeText, randomKey, send } from './publish.js';

export type StreamOptions = HubOptions;

/** Most events of a batch, and most characters; a single larger event is sent alone. A hub takes 100,000 and 16 MiB. */
const BATCH_EVENTS = 4096;
const BATCH_CHARS = 1 << 20;

/** A caller that does not wait for `write` is stopped when so many batches wait. */
const MOST_BATCHES = 16;

/**
 * A stream of events to one topic, such as tokens. Events that wait go out as one batch, one batch after the other, each
 * with a key of its own: a batch without an answer is sent again, so a broken connection loses and doubles nothing. An
 * event is not delayed to fill a batch. (A `POST` that stays open takes no keys: after it broke, nobody knows what
 * arrived.)
 */
export class PublishStream {
  readonly #hub: Hub;
  readonly #topic: string;
  readonly #options: StreamOptions;
  readonly #prefix = randomKey();
  #batches = 0;
  /** Envelopes as JSON that are not sent yet. */
  #waiting: string[] = [];
  #chars = 0;
  #sending: Promise<void> | null = null;
  #sent = signalled();
  #closed = false;
  #failure: { error: unknown } | null = null;
  #last: Receipt | null = null;

  constructor(url: string | URL, topic: string, options: StreamOptions = {}) {
    this.#hub = new Hub(url, options);
    this.#topic = topic;
    this.#options = options;
  }

  /** Adds an event. Wait for it before the next: it waits while a batch's worth is in line, and rejects after a failure. */
  async write(data: Data, options: { event?: string } = {}): Promise<void> {
    if (this.#closed) throw new Error('the stream is closed');
    this.#add(envelopeText({ topic: this.#topic, data, event: options.event }));
    while (!this.#failure && this.#full(1)) await this.#sent.promise;
    this.#check();
  }

  /** Waits until everything written is durable; the receipt is the last event's, null if there is none. */
  async flush(): Promise<Receipt | null> {
    while (this.#sending) await this.#sending;
    this.#check();
    return this.#last;
  }

  /** Flushes, and takes no more. With `last` this is the topic's last event: the topic is closed. */
  async close(last?: { data: Data; event?: string }): Promise<Receipt | null> {
    if (!this.#closed && last) {
      this.#add(envelopeText({ topic: this.#topic, data: last.data, event: last.event, close: true }));
    }
    this.#closed = true;
    return this.flush();
  }

  #full(batches: number): boolean {
    return this.#waiting.length >= batches * BATCH_EVENTS || this.#chars >= batches * BATCH_CHARS;
  }

  #check(): void {
    if (this.#failure) throw this.#failure.error;
  }

  #add(envelope: string): void {
    this.#check();
    if (this.#full(MOST_BATCHES)) throw new RangeError('too many events wait: await write()');
    this.#waiting.push(envelope);
    this.#chars += envelope.length;
    this.#sending ??= this.#send();
  }

  async #send(): Promise<void> {
    try {
      // What is written in the same turn goes out together.
      await Promise.resolve();
      while (this.#waiting.length > 0) {
        const key = `${this.#prefix}-${++this.#batches}`;
        const answer = await send(this.#hub, `[${this.#next().join()}]`, { signal: this.#options.signal, key });
        this.#last = (answer as { events: Receipt[] }).events.at(-1) ?? null;
      }
    } catch (error) {
      this.#failure = { error };
      this.#waiting = [];
    } finally {
      this.#sending = null;
      this.#progress();
    }
  }

  /** Takes the next batch out of the line, which makes room. */
  #next(): string[] {
    let count = 0;
    let chars = 0;
    for (const { length } of this.#waiting) {
      if (count > 0 && (count === BATCH_EVENTS || chars + length > BATCH_CHARS)) break;
      count += 1;
      chars += length;
    }
    this.#chars -= chars;
    const batch = this.#waiting.splice(0, count);
    this.#progress();
    return batch;
  }

  #progress(): void {
    this.#sent.resolve();
    this.#sent = signalled();
  }
}

/** Opens a stream of events to one topic. */
export function stream(url: string | URL, topic: string, options: StreamOptions = {}): PublishStream {
  return new PublishStream(url, topic, options);
}

function signalled(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}
