import { blocks } from './connection.js';
import { DEFAULT_RETRY, delayOf, sleep } from './delay.js';
import { Attempt, bounded, Hub, type HubOptions, NetworkError } from './hub.js';
import type { Item } from './items.js';
import { HubProblem, foreign } from './problem.js';

/** Keeps a cursor where it outlives the process or the page. `set` is never called again before it has finished. */
export interface CursorStore {
  get(): string | null | undefined | Promise<string | null | undefined>;
  set(cursor: string): void | Promise<void>;
}

/** What the connection does; `error` says why it waits. */
export type Status =
  { state: 'connecting' } | { state: 'open' } | { state: 'waiting'; delay: number; error: Error | null };

export interface SubscribeOptions extends HubOptions {
  /** Topics and patterns. */
  topics: string | readonly string[];
  /** Where to start without a cursor: `earliest`, `now` (default), `last:100`, or after an id. */
  from?: string | undefined;
  /** In place of `from`: a time, or an age as `10m`. */
  since?: string | Date | undefined;
  /** The id after which to resume; wins over the store's. */
  cursor?: string | null | undefined;
  store?: CursorStore | undefined;
  /**
   * When the cursor moves past an item: `at-least-once` (default), after the consumer is done with it; or
   * `at-most-once`, before the consumer gets it.
   */
  delivery?: 'at-least-once' | 'at-most-once' | undefined;
  onStatus?: ((status: Status) => void) | undefined;
}

/** Time for the head of an answer: the hub needs 10 s at most to find where a stream starts. */
const HEAD = 30_000;

/** Longest query in a URL; longer lists of topics go into a body. Proxies and servers take 4 to 8 KiB of head. */
const MAX_QUERY = 2_000;

/** The reason of `return()`. */
const LEFT = new Error('the consumer has left');

/** Items of topics, across connections. Each iteration goes on after the last; one at a time. */
export class Subscription implements AsyncIterable<Item> {
  readonly #hub: Hub;
  readonly #options: SubscribeOptions;
  #cursor: string | null;
  #asked = false;
  #running = false;
  #retry = DEFAULT_RETRY;
  /** Failures in a row, without an item or a keepalive between them. */
  #failures = 0;
  /** A `set` that is not finished; one that an abort has left, too. */
  #saving: Promise<void> | null = null;

  constructor(url: string | URL, options: SubscribeOptions) {
    this.#hub = new Hub(url, options);
    this.#options = options;
    this.#cursor = options.cursor ?? null;
  }

  /** The id after which it resumes; null before the hub has told one. */
  get cursor(): string | null {
    return this.#cursor;
  }

  /**
   * Ends when no more events can come. Throws a HubProblem that no retry can change, or the reason of an abort. An abort
   * and `return()` end whatever it waits for.
   */
  [Symbol.asyncIterator](): AsyncGenerator<Item, void, undefined> {
    const leave = new AbortController();
    const items = this.#run(leave);
    // The generator's own waits until `next()` is done.
    const finish = items.return.bind(items);
    items.return = (value) => {
      leave.abort(LEFT);
      return finish(value);
    };
    return items;
  }

  async *#run(leave: AbortController): AsyncGenerator<Item, void, undefined> {
    if (this.#running) throw new Error('a subscription has one consumer at a time');
    this.#running = true;
    const { signal } = this.#options;
    const abort = () => leave.abort(signal!.reason);
    if (signal?.aborted) abort();
    signal?.addEventListener('abort', abort);
    try {
      yield* this.#connections(leave.signal);
    } catch (error) {
      if (error !== LEFT) throw error;
    } finally {
      signal?.removeEventListener('abort', abort);
      this.#running = false;
    }
  }

  async *#connections(signal: AbortSignal): AsyncGenerator<Item, void, undefined> {
    const { store, onStatus } = this.#options;
    if (!this.#asked) this.#cursor ??= (await bounded(store?.get(), signal)) || null;
    this.#asked = true;
    for (;;) {
      const attempt = new Attempt(signal);
      let failure: Error | null = null;
      try {
        onStatus?.({ state: 'connecting' });
        const response = await this.#connect(attempt);
        if (response === null) return;
        onStatus?.({ state: 'open' });
        yield* this.#items(response, attempt, signal);
        this.#failures = 0;
      } catch (error) {
        if (!(error instanceof NetworkError) && !(error instanceof HubProblem && error.temporary)) throw error;
        this.#failures += 1;
        failure = error;
      } finally {
        attempt.end();
      }
      const retryAfter = failure instanceof HubProblem ? failure.retryAfter : 0;
      const delay = delayOf(this.#retry, retryAfter, this.#failures, Math.random());
      onStatus?.({ state: 'waiting', delay, error: failure });
      await sleep(delay, signal);
    }
  }

  /** Asks for the stream; null if it has ended. */
  async #connect(attempt: Attempt): Promise<Response | null> {
    attempt.limit(HEAD);
    const { path, init } = this.#request();
    const response = await this.#hub.send(path, init, attempt);
    attempt.limit(null);
    if (response.status === 204) return null;
    const kind = response.headers.get('content-type') ?? 'nothing';
    if (!kind.startsWith('text/event-stream') || !response.body) throw foreign(`it is ${kind}`);
    return response;
  }

  /** Always with envelopes: they have topic and time. The cursor is in the query: a header would need a preflight. */
  #request(): { path: string; init: RequestInit } {
    const { topics, from, since } = this.#options;
    const accept = { accept: 'text/event-stream' };
    const start = this.#cursor
      ? { last_event_id: this.#cursor }
      : { ...(from && { from }), ...(since && { since: since instanceof Date ? since.toISOString() : since }) };
    const list = typeof topics === 'string' ? [topics] : topics;
    const query = new URLSearchParams({ format: 'json', ...start });
    for (const topic of list) query.append('topic', topic);
    if (String(query).length <= MAX_QUERY) {
      return { path: `/events?${query}`, init: { headers: accept, cache: 'no-store' } };
    }
    const body = JSON.stringify({ topics: list, format: 'json', ...start });
    return { path: '/events', init: { method: 'POST', headers: accept, body } };
  }

  async *#items(response: Response, attempt: Attempt, signal: AbortSignal): AsyncGenerator<Item, void, undefined> {
    const early = this.#options.delivery === 'at-most-once';
    let told = false;
    const onRetry = (ms: number) => {
      told = true;
      this.#retry = ms;
    };
    // Not so at the head: what ends every stream after it must not be asked again without growing delays.
    const alive = () => {
      told = true;
      this.#failures = 0;
    };
    for await (const { item, cursor } of blocks(response, attempt, onRetry, alive)) {
      if (early) await this.#move(cursor, signal);
      if (item) {
        alive();
        yield item;
      }
      if (!early) await this.#move(cursor, signal);
      // A consumer of what was read before the abort must not get the rest.
      signal.throwIfAborted();
    }
    if (!told) throw new NetworkError('the stream ended before anything came');
  }

  async #move(cursor: string | null, signal: AbortSignal): Promise<void> {
    if (cursor === null) return;
    this.#cursor = cursor;
    const { store } = this.#options;
    if (!store) return;
    if (this.#saving) await bounded(this.#saving, signal);
    // Also after an abort: the consumer is done with the item.
    const saving = Promise.resolve(store.set(cursor));
    const saved = () => void (this.#saving = null);
    this.#saving = saving.then(saved, saved);
    await bounded(saving, signal);
  }
}

/** Subscribes to topics: each item goes to `onItem`, which is awaited before the next one. */
export function subscribe(url: string | URL, options: SubscribeOptions & { onItem: Consumer }): Running;
/** Subscribes to topics: iterate over the result. */
export function subscribe(url: string | URL, options: SubscribeOptions & { onItem?: undefined }): Subscription;
export function subscribe(
  url: string | URL,
  options: SubscribeOptions & { onItem?: Consumer | undefined },
): Subscription | Running {
  const subscription = new Subscription(url, options);
  const { onItem, signal } = options;
  return onItem ? { subscription, done: drive(subscription, onItem, signal) } : subscription;
}

export type Consumer = (item: Item) => void | Promise<void>;

/** A subscription with a callback. */
export interface Running {
  readonly subscription: Subscription;
  /** Settles when it stops: `ended`, or `aborted` by its signal. Rejects as the iteration would, or as `onItem` did. */
  readonly done: Promise<'ended' | 'aborted'>;
}

async function drive(
  subscription: Subscription,
  onItem: Consumer,
  signal: AbortSignal | undefined,
): Promise<'ended' | 'aborted'> {
  try {
    for await (const item of subscription) await onItem(item);
    return 'ended';
  } catch (error) {
    if (signal?.aborted && error === signal.reason) return 'aborted';
    throw error;
  }
}
