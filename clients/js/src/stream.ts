import { Hub, type HubOptions } from './hub.js';
import { HubProblem, PublishUncertain } from './problem.js';
import { type Data, type Receipt, checkGiveUpAfter, envelopeText, randomKey, receiptsOf, send } from './publish.js';

export interface StreamOptions extends HubOptions {
  /** How long to try each batch, in milliseconds: less than the hub remembers keys. */
  giveUpAfter?: number | undefined;
}

/** Most events of a batch, and most bytes; a single larger event is sent alone. A hub takes 100,000 and 16 MiB. */
const BATCH_EVENTS = 4096;
const BATCH_BYTES = 1 << 20;

/** A caller that does not wait for `write` is stopped when so many batches wait. */
const MOST_BATCHES = 16;

/** An envelope as JSON, and its length in UTF-8, which is what a hub counts. */
interface Waiting {
  envelope: string;
  bytes: number;
}

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
  #waiting: Waiting[] = [];
  #bytes = 0;
  /** Most bytes of the next batch: fewer when the hub has refused some as too large. */
  #most = BATCH_BYTES;
  #sending: Promise<void> | null = null;
  #sent = signalled();
  #closed = false;
  #failure: { error: unknown } | null = null;
  #last: Receipt | null = null;

  constructor(url: string | URL, topic: string, options: StreamOptions = {}) {
    this.#hub = new Hub(url, options);
    this.#topic = topic;
    this.#options = options;
    checkGiveUpAfter(options.giveUpAfter ?? 0);
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
    return this.#waiting.length >= batches * BATCH_EVENTS || this.#bytes >= batches * BATCH_BYTES;
  }

  #check(): void {
    if (this.#failure) throw this.#failure.error;
  }

  #add(envelope: string): void {
    this.#check();
    if (this.#full(MOST_BATCHES)) throw new RangeError('too many events wait: await write()');
    const bytes = new TextEncoder().encode(envelope).length;
    this.#waiting.push({ envelope, bytes });
    this.#bytes += bytes;
    this.#sending ??= this.#send();
  }

  async #send(): Promise<void> {
    try {
      // What is written in the same turn goes out together.
      await Promise.resolve();
      while (this.#waiting.length > 0) {
        await this.#publish(this.#next());
      }
    } catch (error) {
      this.#failure = { error };
      this.#waiting = [];
    } finally {
      this.#sending = null;
      this.#progress();
    }
  }

  /** Publishes a batch; one that is too large for this hub was not published, and goes out in halves. */
  async #publish(batch: Waiting[]): Promise<void> {
    const { signal, giveUpAfter } = this.#options;
    const key = `${this.#prefix}-${++this.#batches}`;
    const body = `[${batch.map(({ envelope }) => envelope).join()}]`;
    try {
      const receipts = await send(this.#hub, body, { signal, key, giveUpAfter }, receiptsOf);
      this.#last = receipts.at(-1) ?? null;
    } catch (error) {
      if (error instanceof PublishUncertain) throw new PublishUncertain(error.key, error.cause, 'stream');
      if (!(error instanceof HubProblem && error.status === 413) || batch.length === 1) throw error;
      const size = batch.reduce((sum, { bytes }) => sum + bytes, 0);
      this.#most = Math.min(this.#most, size >> 1);
      const half = batch.length >> 1;
      await this.#publish(batch.slice(0, half));
      await this.#publish(batch.slice(half));
    }
  }

  /** Takes the next batch out of the line, which makes room. */
  #next(): Waiting[] {
    let count = 0;
    let size = 0;
    for (const { bytes } of this.#waiting) {
      if (count > 0 && (count === BATCH_EVENTS || size + bytes > this.#most)) break;
      count += 1;
      size += bytes;
    }
    this.#bytes -= size;
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
