// An event stream that reconnects by itself, as an EventSource does, and can send a token in a header, which an EventSource
// cannot. It also tells why it was refused, and it can be cut on purpose.
import { url } from './address';
import { authorization } from './credential';
import { noteDate } from './clock';
import { HubError, answers, problem, tokenWanted } from './request';
import { type SseEvent, SseParser } from './sse';

export type StreamState =
  | { name: 'connecting' }
  | { name: 'live' }
  /** No connection; the next attempt is at `at` (milliseconds since the epoch). `reason` is for people. */
  | { name: 'waiting'; at: number; reason: string }
  /** The hub says that nothing will follow (204). */
  | { name: 'ended' }
  | { name: 'refused'; error: HubError }
  | { name: 'closed' };

export interface StreamOptions {
  /** Relative to the hub, without a leading slash: `events`, `admin/stats`. */
  path: string;
  query: URLSearchParams;
  /** Continue after this id. */
  lastEventId?: string;
  /** Awaited before each attempt to connect; what it throws is ignored. */
  beforeConnect?(signal: AbortSignal): Promise<void>;
  /** Silence after which a connection is given up when the hub does not say its keepalive interval, in milliseconds. */
  silence?: number;
  /** Called with the events of one read of the network, in order. */
  onEvents(events: SseEvent[]): void;
  onState(state: StreamState): void;
}

/** Delay before a reconnect until the hub says another one, in milliseconds: the hub's default. */
const RETRY = 3000;
/** Longest delay after failures in a row, in milliseconds. */
const MAX_DELAY = 60_000;
/** Missing keepalives after which a connection is given up. */
const MISSED_KEEPALIVES = 3;
/** The default of [`StreamOptions.silence`]. */
const SILENCE = 45_000;

export class EventStream {
  /** The newest id received: where the stream continues. */
  cursor: string;
  /** Reconnects so far. */
  reconnects = 0;
  private retry = RETRY;
  private silence: number;
  private failures = 0;
  private connection: AbortController | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private state: StreamState = { name: 'closed' };

  constructor(private readonly options: StreamOptions) {
    this.cursor = options.lastEventId ?? '';
    this.silence = options.silence ?? SILENCE;
  }

  /** Connects, after the cursor. */
  start(): void {
    this.stop();
    void this.connect();
  }

  /** Breaks the connection as a dead network does; it reconnects after `retry`. */
  cut(): void {
    if (!this.connection) return;
    this.stop();
    this.wait('the connection was cut');
  }

  /** Ends the stream. It can be started again. */
  close(): void {
    this.stop();
    this.become({ name: 'closed' });
  }

  private stop() {
    clearTimeout(this.timer);
    this.connection?.abort();
    this.connection = null;
  }

  private become(state: StreamState) {
    this.state = state;
    this.options.onState(state);
  }

  private wait(reason: string, atLeast = 0) {
    // Doubled for each failure in a row: a proxy before a hub that is down answers at once.
    const delay = Math.max(atLeast, Math.min(this.retry * 2 ** Math.max(0, this.failures - 1), Math.max(this.retry, MAX_DELAY)));
    this.become({ name: 'waiting', at: Date.now() + delay, reason });
    this.timer = setTimeout(() => {
      this.reconnects += 1;
      void this.connect();
    }, delay);
  }

  /** A mistake in a view is reported as one, and is not taken for a broken connection. */
  private deliver(events: SseEvent[]) {
    try {
      this.options.onEvents(events);
    } catch (error) {
      reportError(error);
    }
  }

  private async connect(): Promise<void> {
    const connection = new AbortController();
    this.connection = connection;
    this.become({ name: 'connecting' });
    let lastByte = Date.now();
    const watchdog = setInterval(() => {
      if (Date.now() - lastByte > this.silence) connection.abort(new Error('silent'));
    }, 1000);
    let reason = 'the connection broke';
    try {
      await this.options.beforeConnect?.(connection.signal).catch(() => undefined);
      if (this.connection !== connection) return;
      lastByte = Date.now();
      const response = await fetch(url(this.options.path, this.options.query), {
        headers: {
          Accept: 'text/event-stream',
          ...authorization(),
          ...(this.cursor ? { 'Last-Event-ID': this.cursor } : {}),
        },
        cache: 'no-store',
        signal: connection.signal,
      });
      if (this.connection !== connection) return;
      answers(true);
      noteDate(response.headers.get('date'));
      if (response.status === 204) return this.become({ name: 'ended' });
      if (!response.ok) {
        const refusal = await problem(response);
        if (this.connection !== connection) return;
        const transient = refusal.status === 429 || refusal.status >= 500;
        if (!transient) {
          if (refusal.status === 401) tokenWanted.value = refusal.detail;
          return this.become({ name: 'refused', error: refusal });
        }
        this.failures += 1;
        return this.wait(refusal.detail, refusal.retryAfter ?? 0);
      }
      const keepalive = Number(response.headers.get('stream-keepalive'));
      this.silence = keepalive > 0 ? keepalive * 1000 * MISSED_KEEPALIVES : (this.options.silence ?? SILENCE);
      this.failures = 0;
      this.become({ name: 'live' });
      const parser = new SseParser(this.cursor);
      const reader = response.body!.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (this.connection !== connection) return;
        if (done) break;
        lastByte = Date.now();
        const events = parser.push(value);
        if (parser.retry !== null) this.retry = parser.retry;
        this.cursor = parser.id;
        if (events.length) this.deliver(events);
      }
      reason = 'the hub ended the connection and asked to come back';
    } catch (error) {
      if (this.connection !== connection) return;
      if (error instanceof RangeError) {
        this.connection = null;
        return this.become({ name: 'refused', error: new HubError(0, '', error.message) });
      }
      if (connection.signal.aborted) reason = 'nothing was received for too long';
      else if (this.state.name === 'connecting') {
        this.failures += 1;
        reason = 'the hub cannot be reached';
      }
    } finally {
      clearInterval(watchdog);
      connection.abort();
    }
    if (this.connection === connection) {
      this.connection = null;
      answers(false);
      this.wait(reason);
    }
  }
}
