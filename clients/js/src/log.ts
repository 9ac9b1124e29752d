import type { EndItem, EventItem, GapItem, Item } from './items.js';
import { type Status, type SubscribeOptions, Subscription } from './subscribe.js';

export interface LogOptions extends Omit<SubscribeOptions, 'signal' | 'onStatus' | 'delivery'> {
  /** The hub, as `https://hub.example`; for a page of the hub's own site `''`. */
  url: string;
  /** Items that are kept, at least one; older ones go. Default 1000. */
  limit?: number | undefined;
}

export type LogItem = EventItem | GapItem | EndItem;

export interface LogState {
  /** The newest items, oldest first, without events that were removed. */
  readonly items: readonly LogItem[];
  /** `idle` without a listener; `ended` when no more events can come; `failed` if no retry can help. */
  readonly status: 'idle' | Status['state'] | 'ended' | 'failed';
  /** Why it waits, or failed. */
  readonly error: Error | null;
  readonly cursor: string | null;
}

const LIMIT = 1_000;

/** The newest events of topics, for as long as somebody listens. A later listener resumes where the last one left. */
export class EventLog {
  readonly #options: LogOptions;
  readonly #limit: number;
  readonly #listeners = new Set<() => void>();
  #controller = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #items: LogItem[] = [];
  #status: LogState['status'] = 'idle';
  #error: Error | null = null;
  #subscription: Subscription | null = null;
  #state: LogState;
  #told = true;

  constructor(options: LogOptions) {
    this.#options = options;
    this.#limit = options.limit ?? LIMIT;
    if (!(this.#limit >= 1)) throw new RangeError('limit: a log keeps at least one item');
    this.#state = { items: [], status: 'idle', error: null, cursor: this.#cursor() };
  }

  /** The state; the same object until listeners are called. */
  readonly snapshot = (): LogState => this.#state;

  /** Calls the listener after changes, until the function that it returns is called. */
  readonly subscribe = (listener: () => void): (() => void) => {
    const own = () => listener();
    this.#listeners.add(own);
    if (this.#listeners.size === 1) this.#start();
    return () => {
      if (this.#listeners.delete(own) && this.#listeners.size === 0) this.#controller.abort();
    };
  };

  #cursor(): string | null {
    return this.#subscription?.cursor ?? this.#options.cursor ?? null;
  }

  #start(): void {
    this.#controller = new AbortController();
    const { signal } = this.#controller;
    // One run at a time, so that the next one begins at the cursor that the last one reached.
    this.#running = this.#running.then(() => (signal.aborted ? undefined : this.#run(signal)));
  }

  async #run(signal: AbortSignal): Promise<void> {
    const onStatus = (status: Status) => this.#become(status.state, 'error' in status ? status.error : null);
    const options = { ...this.#options, cursor: this.#cursor(), signal, onStatus };
    try {
      this.#subscription = new Subscription(this.#options.url, options);
      for await (const item of this.#subscription) this.#add(item);
      this.#become('ended', null);
    } catch (error) {
      if (signal.aborted) this.#become('idle', null);
      else this.#become('failed', error instanceof Error ? error : new Error(String(error)));
    }
  }

  #add(item: Item): void {
    if (item.type === 'removed') {
      this.#items = this.#items.filter((kept) => kept.type !== 'event' || kept.id !== item.id);
    } else if (item.type === 'event' || !this.#items.some((kept) => toldAgain(kept, item))) {
      this.#items.push(item);
      // Only now and then, so that an event does not cost a copy of all.
      if (this.#items.length >= 2 * this.#limit) this.#items = this.#items.slice(-this.#limit);
    }
    this.#tell();
  }

  #become(status: LogState['status'], error: Error | null): void {
    this.#status = status;
    this.#error = error;
    this.#tell();
  }

  /** What came together is told together, so that a page draws once. */
  #tell(): void {
    if (!this.#told) return;
    this.#told = false;
    setTimeout(() => {
      this.#told = true;
      const items = this.#items.slice(-this.#limit);
      this.#state = { items, status: this.#status, error: this.#error, cursor: this.#cursor() };
      for (const listener of this.#listeners) listener();
    });
  }
}

/** A gap or an end that came again after a reconnect; what follows a gap may be known only then. */
function toldAgain(kept: LogItem, item: GapItem | EndItem): boolean {
  const known = (it: LogItem) => JSON.stringify({ ...it, resumesAt: null });
  return kept.type === item.type && known(kept) === known(item);
}
