// One stream, from its selection to the store: what is replay and what is live, what was lost on the way, and how fast it comes.
import { type Signal, signal } from '@preact/signals';
import { hubAhead } from '../../hub/clock';
import { readPage } from '../../hub/events';
import { isBefore } from '../../hub/id';
import { HubError } from '../../hub/request';
import type { SseEvent } from '../../hub/sse';
import { EventStream, type StreamState } from '../../hub/stream';
import type { End, Envelope, Gap } from '../../hub/types';
import { Crossing, backLine, faultless } from './crossing';
import { type Arrival, type LiveMark, arrived } from './entry';
import { type From, fromQuery } from './from';
import { LiveStore } from './live-store';
import { RateMeter } from './rate';
import { Ticks } from './ticks';

/** Longest wait for the newest id of the log before the stream connects without it, in milliseconds. */
const HEAD_PATIENCE = 3000;
/** So long without an event, replay is taken to be over: its last event may have been trimmed meanwhile. In milliseconds. */
const QUIET = 2000;
/** Age of an event that was published just now, where nothing else says whether it is live. In milliseconds. */
const FRESH = 500;

export interface Selection {
  topic: string;
  from: From;
}

export class Watch {
  readonly store = new LiveStore();
  readonly state: Signal<StreamState> = signal({ name: 'closed' });
  readonly selection: Signal<Selection | null> = signal(null);
  /** The loss of the connection that is under way, or the last one that the user caused. */
  readonly crossing: Signal<Crossing | null> = signal(null);
  /** Rises with what the crossing tells; a Crossing is one object all the time. */
  readonly told = signal(0);
  readonly rate = new RateMeter();
  readonly ticks = new Ticks();
  /** Milliseconds from the time of the newest live event to its arrival; null without one. */
  lag: { ms: number; at: number } | null = null;
  /** The newest id seen. */
  newest = '';
  /** The newest event of the log when the stream connected: replay ends there. */
  target: string | null = null;
  replaying = false;
  /** What ended, in words. */
  readonly ends: Signal<string[]> = signal([]);
  private stream: EventStream | null = null;
  private replayed = 0;
  /** There was a connection. */
  begun = false;
  /** This connection is the first one. */
  private first = true;
  /** The crossing whose events are coming. */
  private current: Crossing | null = null;
  /** The one that is compared with the log; what comes twice until then counts. */
  private settling: Crossing | null = null;
  private backMark: LiveMark | null = null;
  private quiet: ReturnType<typeof setTimeout> | undefined;
  private cutting = false;

  /** The id after which the stream continues. */
  get cursor(): string {
    return this.stream?.cursor ?? '';
  }

  /** Watches another selection, from its beginning. */
  start(selection: Selection): void {
    this.stop();
    this.selection.value = selection;
    this.store.reset();
    this.rate.clear();
    this.crossing.value = this.current = this.settling = this.backMark = this.target = this.lag = null;
    this.ends.value = [];
    this.newest = '';
    this.begun = this.replaying = false;
    const { topic, from } = selection;
    const stream: EventStream = new EventStream({
      path: 'events',
      // The data is an envelope, and events have no names of their own.
      query: new URLSearchParams({ topic, ...fromQuery(from), format: 'message' }),
      beforeConnect: (signal) => this.findTarget(signal),
      onEvents: (events) => this.receive(events),
      onState: (state) => stream === this.stream && this.become(state),
    });
    this.stream = stream;
    stream.start();
  }

  /** Connects again after the newest id: with another token, or after a refusal. */
  again(): void {
    if (this.state.value.name !== 'closed') this.stream?.start();
  }

  stop(): void {
    this.stream?.close();
    this.stream = null;
    this.ticks.stop();
    clearTimeout(this.quiet);
    this.state.value = { name: 'closed' };
  }

  /** Breaks the connection; the stream comes back by itself. `ticks`: publishes to this topic meanwhile. */
  cut(ticks: string | null): void {
    if (this.state.value.name !== 'live') return;
    this.cutting = true;
    this.stream?.cut();
    this.cutting = false;
    if (ticks !== null) this.ticks.start(ticks);
  }

  /** The newest event of the selection, so that it is known where replay ends. */
  private async findTarget(stop: AbortSignal): Promise<void> {
    this.target = null;
    const { topic, from } = this.selection.value!;
    // From now on: there is no replay, the first time.
    if (from.kind === 'now' && !this.stream?.cursor) return;
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), HEAD_PATIENCE);
    stop.addEventListener('abort', () => limit.abort());
    try {
      const page = await readPage(topic, { from: 'last:1' }, 1000, limit.signal);
      this.target = page.events.at(-1)?.id ?? '';
    } finally {
      clearTimeout(timer);
    }
  }

  private become(state: StreamState) {
    const before = this.state.value;
    this.state.value = state;
    if (state.name === 'live') this.connected();
    else if (state.name === 'waiting' && before.name === 'live') this.lost();
    else if (state.name === 'ended') {
      if (this.current && !this.current.backAt) this.connected();
      this.caughtUp();
    } else if (state.name === 'refused') this.ticks.stop();
  }

  private lost() {
    clearTimeout(this.quiet);
    // Lost again before it had caught up: the same time without a connection goes on.
    if (!this.current) this.current = new Crossing(Date.now(), this.newest || (this.stream?.cursor ?? ''), this.cutting);
    else this.current.backAt = null;
    if (this.cutting) this.crossing.value = this.current;
    this.told.value += 1;
  }

  private connected() {
    this.ticks.stop();
    this.replayed = 0;
    if (this.current) {
      this.current.backAt = Date.now();
      this.backMark ??= this.mark({ type: 'back', text: backLine(this.current), tone: 'info' });
      this.told.value += 1;
    }
    // Without a target nothing is known of replay: until it is quiet.
    this.replaying = this.begun || this.selection.value?.from.kind !== 'now';
    this.first = !this.begun;
    this.begun = true;
    if (this.target === '' || (this.target && reached(this.newest, this.target))) this.caughtUp();
    else this.awaitQuiet();
  }

  private awaitQuiet() {
    clearTimeout(this.quiet);
    if (this.replaying) this.quiet = setTimeout(() => this.caughtUp(), QUIET);
  }

  private mark(mark: LiveMark['mark']): LiveMark {
    return this.store.push([{ kind: 'mark', mark }])[0] as LiveMark;
  }

  /** Replay is over. */
  private caughtUp(batch?: Arrival[]) {
    clearTimeout(this.quiet);
    if (this.replaying && (this.replayed || this.first)) {
      const mark: Arrival = { kind: 'mark', mark: { type: 'live', replayed: this.replayed } };
      if (batch) batch.push(mark);
      else this.store.push([mark]);
    }
    this.replaying = false;
    if (this.current) void this.settle(this.current);
    this.current = null;
  }

  /** Compares what came across a loss of the connection with the log. */
  private async settle(crossing: Crossing): Promise<void> {
    const mark = this.backMark;
    this.backMark = null;
    const { topic } = this.selection.value!;
    const last = (this.target ?? this.newest) || crossing.before;
    const own = this.stream;
    this.settling = crossing;
    try {
      if (!crossing.before) crossing.unchecked = 'there was no id before';
      else await crossing.compare(last, (after, limit) => readPage(topic, { last_event_id: after }, limit));
    } catch (error) {
      crossing.unchecked = error instanceof HubError ? error.detail.replace(/\.$/, '') : 'the log could not be read';
    }
    if (own !== this.stream) return;
    if (this.settling === crossing) this.settling = null;
    if (mark?.mark.type === 'back') {
      Object.assign(mark.mark, { text: backLine(crossing), tone: faultless(crossing) ? 'good' : crossing.unchecked && !crossing.gaps.length ? 'info' : 'bad' });
      this.store.amended();
    }
    this.told.value += 1;
  }

  private receive(events: SseEvent[]) {
    const now = Date.now();
    const batch: Arrival[] = [];
    let bytes = 0;
    let count = 0;
    let time = '';
    for (const { event, data } of events) {
      if (event !== 'message') {
        this.notice(event, data, batch);
        continue;
      }
      const envelope = JSON.parse(data) as Envelope;
      if (this.replaying && this.isLive(envelope, now)) this.caughtUp(batch);
      (this.current ?? this.settling)?.see(envelope.id, this.newest, this.replaying, now);
      if (this.replaying) this.replayed += 1;
      else time = envelope.time;
      this.newest = envelope.id;
      count += 1;
      const arrival = arrived(envelope, this.replaying);
      bytes += arrival.size;
      batch.push(arrival);
      if (this.replaying && envelope.id === this.target) this.caughtUp(batch);
    }
    if (time) this.lag = { ms: now + hubAhead() - Date.parse(time), at: now };
    this.rate.add(count, bytes, now);
    if (this.replaying) this.awaitQuiet();
    if (batch.length) this.store.push(batch, now);
  }

  /** Whether the event is one after replay. */
  private isLive({ id, time }: Envelope, now: number): boolean {
    if (this.target !== null) return this.target !== '' && isBefore(this.target, id);
    // The newest event of the log is not known: one that was published just now.
    return now - Date.parse(time) < FRESH;
  }

  private notice(event: string, data: string, batch: Arrival[]) {
    if (event === 'hub.gap') {
      const gap = JSON.parse(data) as Gap;
      (this.current ?? this.settling)?.gaps.push(gap);
      batch.push({ kind: 'mark', mark: { type: 'gap', gap } });
    } else if (event === 'hub.end') {
      const end = JSON.parse(data) as End;
      if (this.current) this.current.ended = true;
      this.ends.value = [...this.ends.value, `${end.topic} was ${end.reason}`].slice(-1);
      batch.push({ kind: 'mark', mark: { type: 'end', end } });
    } else if (event === 'hub.cursor') {
      const { id } = JSON.parse(data) as { id: string };
      // Sent again when a stream has caught up after a gap that no event follows.
      if (this.replaying && this.target && reached(id, this.target)) this.caughtUp(batch);
    }
  }
}

/** Whether a stream that has come to `id` has come to `target`. Ids of two stores cannot be compared. */
const reached = (id: string, target: string): boolean => id === target || isBefore(target, id);
