// Figures of a hub in order, for the tests of this folder.
import type { Stats } from '../../hub/types';

type Part<T> = { [Key in keyof T]?: T[Key] extends object | null ? (T[Key] extends unknown[] ? T[Key] : Part<T[Key]>) : T[Key] };

/** A hub that runs for an hour, and needs nothing. `changed` replaces some of its figures. */
export const stats = (changed: Part<Stats> = {}): Stats => merged(HEALTHY, changed) as unknown as Stats;

const HEALTHY: Stats = {
  version: '0.1.0', engine: 'sled', epoch: 'abcd', last_id: 'abcd-100', uptime_s: 3600, ready: true, draining: false,
  connections: 10, connections_limit: 1000, connections_total: 50, subscribers: 5,
  subscriptions: { live: 5, replaying: 0, lagged: 0 }, resumed_total: 0, topics: 3,
  events: { in_total: 1000, out_total: 5000, replayed_total: 0, removed_total: 0, in_per_s: 1, out_per_s: 5 },
  bytes: { in_total: 10_000, out_total: 50_000, in_per_s: 10, out_per_s: 50 }, publish_bytes: 0,
  store: {
    events: 1000, bytes: 10_000, disk_bytes: 40_000, disk_free_bytes: 50 * 1024 ** 3, disk_total_bytes: 100 * 1024 ** 3, queued_bytes: 0,
    commits_total: 900, commit_ms: { p50: 1, p99: 5 }, pages_read_total: 0, losses: 0, unscrubbed: 0, clock_ahead_s: 0, clock_leapt_s: 0,
  },
  gaps_total: { trimmed: 0, lost: 0, unknown: 0, ahead: 0 }, slow_readers_cut_total: 0, lapsed_total: 0, log_lines_dropped_total: 0,
  refused_total: {}, quota_refused_total: {}, addresses: 1, holders_known: 0, holders: [],
  relay: { running: 0, viewers: 0, joined_total: 0, first_added_ms: { p50: 0, p99: 0 }, added_ms: { p50: 0, p99: 0 }, providers: {} },
  top_topics: [], top_topics_by_subscribers: [],
};

function merged(whole: object, part: object): object {
  const result: Record<string, unknown> = { ...whole };
  for (const [key, value] of Object.entries(part)) {
    const old = result[key];
    const isGroup = (each: unknown): each is object => typeof each === 'object' && each !== null && !Array.isArray(each);
    result[key] = isGroup(value) && isGroup(old) ? merged(old, value) : value;
  }
  return result;
}
