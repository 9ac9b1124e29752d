// The figures of the last minute, to compare those of now with.
import type { Stats } from '../../hub/types';

interface Moment {
  stats: Stats;
  /** Milliseconds since the epoch. */
  at: number;
}

export interface Past {
  /** Oldest first, of one process. */
  moments: readonly Moment[];
  /** An earlier process was seen. */
  restarted: boolean;
}

/** What is compared, in milliseconds. */
const MINUTE = 60_000;
/** Distance of the moments kept: a dozen of them, and not sixty. */
const STEP = 5000;

export const noPast: Past = { moments: [], restarted: false };

/** With the figures that came at `at`. Begins anew with a process that was restarted. */
export function remembered({ moments, restarted }: Past, stats: Stats, at: number): Past {
  const newest = moments.at(-1);
  if (newest && stats.uptime_s < newest.stats.uptime_s) return { moments: [{ stats, at }], restarted: true };
  if (newest && at - newest.at < STEP && at >= newest.at) return { moments, restarted };
  // The newest of those that are older than a minute stays: the comparison is with it.
  const kept = moments.filter((_, index) => moments[index + 1] === undefined || at - moments[index + 1]!.at < MINUTE);
  return { moments: [...kept, { stats, at }], restarted };
}

/** A minute before `at`, or the oldest that is known; null when nothing older than `at` is. */
export function minuteBefore({ moments }: Past, at: number): { stats: Stats; seconds: number } | null {
  const before = moments[0];
  return before && before.at < at ? { stats: before.stats, seconds: (at - before.at) / 1000 } : null;
}
