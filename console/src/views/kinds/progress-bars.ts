// Bars of progress, with a rate and the time left where they can be known.
import type { KindEvent, ProgressReading } from './reading';

/** Bars of one topic; the one that is silent for the longest leaves. */
const MOST_BARS = 40;
/** Steps by which the rate is measured: the newest, so that it follows a change. */
const SAMPLES = 40;
/** Shortest time over which a rate is measured, in milliseconds: less is chance. */
const SHORTEST = 250;
/** Silence after which a bar counts as stalled: this long, or so many times its usual step, in milliseconds. */
const STALLED_AFTER = 15_000;
const STALLED_STEPS = 5;

export type TimeLeft =
  | { state: 'done'; took: number }
  | { state: 'left'; ms: number }
  /** Not enough is known. */
  | { state: 'unknown' }
  | { state: 'stalled'; ms: number }
  /** It ended before it was done. */
  | { state: 'ended' };

export class ProgressBar {
  label = '';
  unit = '';
  done = 0;
  total: number | null = null;
  id: string;
  /** The topic has ended. */
  ended = false;
  /** Whether its numbers are fractions of 1: then 1 is all of it. */
  private fractions = false;
  private labelFrom = '';
  private readonly from: number;
  private samples: { time: number; done: number }[] = [];

  constructor(
    readonly name: string,
    event: KindEvent,
  ) {
    this.id = event.id;
    this.from = Date.parse(event.time);
  }

  step(event: KindEvent, reading: ProgressReading): void {
    const time = Date.parse(event.time);
    if (reading.scale === 'fraction') this.fractions = true;
    const done = reading.scale === 'one' && this.fractions ? 100 : reading.done;
    // It began again.
    if (done < this.done || reading.total !== this.total) this.samples = [];
    this.id = event.id;
    this.done = done;
    this.total = reading.total;
    this.unit = reading.unit;
    if (reading.label) {
      this.label = reading.label;
      this.labelFrom = event.id;
    }
    this.samples.push({ time, done });
    if (this.samples.length > SAMPLES) this.samples.shift();
  }

  /** Forgets the label if this event gave it. */
  forget(id: string): boolean {
    if (this.labelFrom !== id) return false;
    this.label = this.labelFrom = '';
    return true;
  }

  /** 0 to 1; null when the total is not known. */
  get fraction(): number | null {
    return this.total === null ? null : Math.min(1, this.done / this.total);
  }

  /** Units a second; null when it is not known. */
  get rate(): number | null {
    const [oldest, newest] = [this.samples[0], this.samples.at(-1)];
    if (!oldest || !newest || newest.time - oldest.time < SHORTEST) return null;
    const rate = ((newest.done - oldest.done) / (newest.time - oldest.time)) * 1000;
    return rate > 0 ? rate : null;
  }

  /** `now`: the hub's clock, in milliseconds since the epoch. */
  left(now: number): TimeLeft {
    const newest = this.samples.at(-1);
    const fraction = this.fraction;
    if (fraction === 1) return { state: 'done', took: (newest?.time ?? this.from) - this.from };
    if (this.ended) return { state: 'ended' };
    const silent = newest ? Math.max(0, now - newest.time) : 0;
    const oldest = this.samples[0];
    const usual = newest && oldest && this.samples.length > 1 ? (newest.time - oldest.time) / (this.samples.length - 1) : 0;
    if (silent > Math.max(STALLED_AFTER, usual * STALLED_STEPS)) return { state: 'stalled', ms: silent };
    const { rate } = this;
    if (rate === null || this.total === null) return { state: 'unknown' };
    return { state: 'left', ms: Math.max(0, ((this.total - this.done) / rate) * 1000 - silent) };
  }
}

export class ProgressBars {
  readonly bars = new Map<string, ProgressBar>();
  /** Bars that have left because of the bound. */
  dropped = 0;

  push(event: KindEvent, reading: ProgressReading): void {
    let bar = this.bars.get(reading.bar);
    // To the end: the first one is the one that is silent for the longest.
    if (bar) this.bars.delete(reading.bar);
    else bar = new ProgressBar(reading.bar, event);
    bar.step(event, reading);
    this.bars.set(reading.bar, bar);
    if (this.bars.size > MOST_BARS) {
      this.bars.delete(this.bars.keys().next().value!);
      this.dropped += 1;
    }
  }

  /** In the order of their beginning, by name. */
  get shown(): ProgressBar[] {
    return [...this.bars.values()].sort((one, other) => (one.name < other.name ? -1 : one.name > other.name ? 1 : 0));
  }

  end(): void {
    for (const bar of this.bars.values()) bar.ended = true;
  }

  /** Forgets the bar whose newest step was removed: what it said may not be shown. */
  forget(id: string): boolean {
    for (const [name, bar] of this.bars) {
      if (bar.id === id) return this.bars.delete(name);
      if (bar.forget(id)) return true;
    }
    return false;
  }
}
