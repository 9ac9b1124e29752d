// What other limits would remove from a topic now. The protocol tells no number for that; it is found by reading where the newest N events,
// and those of an age, begin.
import { isBefore } from '../../hub/id';
import type { Envelope, Retention, Topic } from '../../hub/types';

/** Reads of the log, one event each. Null: there is none. */
export interface Probe {
  /** The oldest kept event. */
  oldest(): Promise<Envelope | null>;
  /** The first of the newest `count` kept events. */
  first(count: number): Promise<Envelope | null>;
  /** The first event that is not older. */
  since(age: string): Promise<Envelope | null>;
}

export interface Cost {
  /** Events that would be removed now. */
  removes: number;
  /** `removes` is an estimate. */
  about: boolean;
  /** It may be far fewer: counting ends at the newest million. */
  atMost: boolean;
  /** The event that is the oldest now, and the one that would be. Null where nothing is, or is not known. */
  from: Envelope | null;
  oldest: Envelope | null;
  /** Limits that return to the rule of the hub, which this page does not know. */
  byRule: (keyof Retention)[];
}

/** Most events that the hub counts back from the newest (`from=last:N`). */
const COUNTED = 1_000_000;
/** An age's count is exact to this part of all events: each further bit is a request. */
const PRECISION = 0.002;

/** @param limits the limits that change; null returns to the rule of the hub */
export async function costOf({ events, bytes }: Topic, limits: Partial<Retention>, probe: Probe): Promise<Cost> {
  const byRule = (['max_events', 'max_age', 'max_bytes'] as const).filter((name) => limits[name] === null);
  const nothing: Cost = { removes: 0, about: false, atMost: false, from: null, oldest: null, byRule };
  if (events === 0) return nothing;
  let kept = events;
  let about = false;
  let atMost = false;
  if (limits.max_events != null) kept = Math.min(kept, limits.max_events);
  if (limits.max_bytes != null && bytes > limits.max_bytes) {
    // Events differ in size, and which sizes are the old ones' is not known.
    const fitting = Math.floor((limits.max_bytes * events) / bytes);
    if (fitting < kept) {
      kept = fitting;
      about = true;
    }
  }
  let oldest: Envelope | null | undefined;
  if (limits.max_age != null) {
    const first = await probe.since(limits.max_age);
    const aged = first === null ? { kept: 0, about: false, atMost: false } : await countFrom(first, kept, probe);
    if (aged.kept < kept) {
      ({ kept, about, atMost } = aged);
      oldest = first;
    }
  }
  if (kept >= events) return nothing;
  const from = await probe.oldest();
  if (oldest === undefined) oldest = kept > 0 && kept <= COUNTED ? await probe.first(kept) : null;
  return { removes: events - kept, about, atMost, from, oldest, byRule };
}

/** How many of the newest `most` events begin with `first`. */
async function countFrom(first: Envelope, most: number, probe: Probe): Promise<Pick<Cost, 'about' | 'atMost'> & { kept: number }> {
  let low = 0;
  let high = Math.min(most, COUNTED);
  // The newest `low` begin with `first` or after it, the newest `high` before it.
  const whole = await probe.first(high);
  if (whole === null || !isBefore(whole.id, first.id)) return { kept: high, about: false, atMost: high < most };
  while (high - low > 1 && high - low > most * PRECISION) {
    const middle = Math.floor((low + high) / 2);
    const event = await probe.first(middle);
    if (event !== null && isBefore(event.id, first.id)) high = middle;
    else low = middle;
  }
  return { kept: low, about: high - low > 1, atMost: false };
}
