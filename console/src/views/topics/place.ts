// Which page of a topic's events is shown. It is in the address, so that a link shows the same page.
import { parts } from '../../hub/id';

export type Place =
  | { kind: 'newest' }
  /** The newest events before an id, the oldest after one. */
  | { kind: 'before' | 'after'; id: string }
  /** An id, open, with its neighbours. */
  | { kind: 'at'; id: string }
  /** The first event at or after a time (RFC 3339), with its neighbours. */
  | { kind: 'since'; time: string };

/** The place that the query of an address names. */
export function placeOf(query: URLSearchParams): Place {
  for (const kind of ['at', 'before', 'after'] as const) {
    const id = query.get(kind);
    if (id) return { kind, id };
  }
  const time = query.get('since');
  return time ? { kind: 'since', time } : { kind: 'newest' };
}

/** The query of the address that names the place. */
export function placeQuery(place: Place): Record<string, string> {
  if (place.kind === 'newest') return {};
  return place.kind === 'since' ? { since: place.time } : { [place.kind]: place.id };
}

const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/**
 * The place that a reader types: an id (`yrtxnomj-17`), its number alone (`17`), a time (`12:04`, `2026-11-26 12:04`, RFC 3339) in this
 * browser's time zone, or an age (`10m`, `1h 30m`). Null when it is none of them.
 * @param epoch of the ids of this topic; null when it has none
 */
export function typedPlace(text: string, epoch: string | null, now: Date): Place | null {
  const typed = text.trim();
  if (parts(typed)) return { kind: 'at', id: typed };
  if (/^\d{1,19}$/.test(typed)) return epoch === null ? null : { kind: 'at', id: `${epoch}-${typed}` };
  const time = typedTime(typed, now);
  return time && !Number.isNaN(time.getTime()) ? { kind: 'since', time: time.toISOString() } : null;
}

function typedTime(text: string, now: Date): Date | null {
  const clock = /^(\d{1,2}):(\d{2})(?::(\d{2})(\.\d{1,3})?)?$/.exec(text);
  if (clock) {
    const [hours, minutes, seconds] = [Number(clock[1]), Number(clock[2]), Number(clock[3] ?? 0)];
    if (hours > 23 || minutes > 59 || seconds > 59) return null;
    const today = new Date(now);
    today.setHours(hours, minutes, seconds, Math.round(Number(clock[4] ?? 0) * 1000));
    return today;
  }
  if (/^\d{4}-\d{2}-\d{2}$/.test(text)) return new Date(text + 'T00:00');
  if (/^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}/.test(text)) return new Date(text.replace(' ', 'T'));
  const age = text.replace(/\s*ago$/, '');
  if (!/^(\d+(\.\d+)?\s*(ms|s|min|m|h|d|w)\s*)+$/.test(age)) return null;
  let ms = 0;
  for (const [, value, unit] of age.matchAll(/(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d|w)/g)) ms += Number(value) * UNITS[unit!]!;
  return new Date(now.getTime() - ms);
}
