import { describe, expect, it } from 'vitest';
import type { StatsHistory } from '../../hub/types';
import { stats } from './sample-stats';
import { type Series, emptySeries, extended, newestMinute, seeded } from './series';

/** A history of `samples` samples that ends at `last`, all values the sample's number. */
function history(samples: number, last: number, changed: Partial<StatsHistory> = {}): StatsHistory {
  const numbers = Array.from({ length: samples }, (_, at) => at);
  const names = ['events_in', 'events_out', 'bytes_in', 'bytes_out', 'live', 'replaying', 'lagged', 'commit_ms_p99', 'refused', 'gaps', 'cut', 'disk_free_bytes'];
  return {
    interval_s: 5,
    time: numbers.map((at) => last - 5 * (samples - 1 - at)),
    ...Object.fromEntries(names.map((name) => [name, numbers])),
    ...changed,
  } as StatsHistory;
}

/** Figures of each second for `seconds`, after `time`: ten events a second. */
function second(series: Series, time: number, seconds: number, uptime = 1000): Series {
  for (let at = 0; at <= seconds; at++) {
    const now = stats({ uptime_s: uptime + at, events: { in_total: 500 + 10 * at }, refused_total: { forbidden: at }, subscriptions: { live: at } });
    series = extended(series, now, time + at);
  }
  return series;
}

it('is seeded by the history', () => {
  const { columns, interval } = seeded(emptySeries, history(180, 10_000));
  expect(interval).toBe(5);
  expect(columns.time.length).toBe(180);
  expect(columns.time.at(-1)).toBe(10_000);
  expect(columns.events_in.at(-1)).toBe(179);
  expect(seeded(emptySeries, history(0, 0)).columns.time).toEqual([]);
});

describe('continued by the figures of each second', () => {
  const grown = second(seeded(emptySeries, history(180, 10_000)), 10_002, 22);
  it('has a sample each interval, with rates from the totals', () => {
    expect(grown.columns.time.slice(-5)).toEqual([10_000, 10_007, 10_012, 10_017, 10_022]);
    expect(grown.columns.events_in.slice(-4)).toEqual([10, 10, 10, 10]);
    expect(grown.columns.refused.slice(-4)).toEqual([1, 1, 1, 1]);
    expect(grown.columns.live.slice(-4)).toEqual([5, 10, 15, 20]);
    // Only the history knows it.
    expect(grown.columns.commit_ms_p99.slice(-4)).toEqual([null, null, null, null]);
  });
  it('never has more than the span', () => {
    const long = second(grown, 10_024, 2000);
    expect(long.columns.time.length).toBeLessThanOrEqual(181);
    expect(long.columns.time.at(-1)! - long.columns.time[0]!).toBeLessThanOrEqual(900);
    for (const column of Object.values(long.columns)) expect(column.length).toBe(long.columns.time.length);
  });
  it('is corrected by the history that is read again', () => {
    const again = seeded(grown, history(180, 10_015));
    // What is newer than the history stays, without a sample right beside its last.
    expect(again.columns.time.slice(-3)).toEqual([10_010, 10_015, 10_022]);
    expect(again.columns.commit_ms_p99.slice(-2)).toEqual([179, null]);
  });
});

describe('what is not known is a hole', () => {
  it('when the hub was restarted: no line is drawn over it, and what was before stays', () => {
    const before = seeded(emptySeries, history(10, 1000));
    const after = seeded(before, history(2, 1100));
    expect(after.columns.time.slice(-4)).toEqual([1000, 1005, 1095, 1100]);
    expect(after.columns.events_in.slice(-4)).toEqual([9, null, 0, 1]);
  });
  it('when totals begin anew, which are no negative rate', () => {
    const restarted = second(second(emptySeries, 1000, 10, 5000), 1012, 5, 1);
    expect(restarted.columns.time).toEqual([1005, 1010, 1017]);
    expect(restarted.columns.events_in).toEqual([10, 10, 10]);
  });
  it('when the page had no connection for long', () => {
    const series = second(emptySeries, 1000, 10);
    const later = second(series, 1100, 5, 1100);
    expect(later.columns.time).toEqual([1005, 1010, 1015, 1105]);
    expect(later.columns.live).toEqual([5, 10, null, 5]);
  });
  it("when this computer's clock is set back, samples go on without going back", () => {
    const series = second(emptySeries, 1000, 10);
    const back = second(series, 900, 5, 1011);
    expect(back.columns.time).toEqual([1005, 1010]);
  });
});

describe('the newest minute', () => {
  const flat = (value: number | null) => Array.from({ length: 60 }, () => value);
  it('counts the readers that were cut in it', () => {
    const cut = flat(0).map((_, at) => (at === 30 ? 100 : at === 50 ? 2 : at === 59 ? 1 : 0));
    expect(newestMinute(seeded(emptySeries, history(60, 5000, { cut }))).cut).toBe(3);
  });
  it('compares commits with the usual ones', () => {
    const commit_ms_p99 = flat(10).map((usual, at) => (at >= 48 ? 300 : usual));
    expect(newestMinute(seeded(emptySeries, history(60, 5000, { commit_ms_p99 }))).commit).toEqual({ now: 300, usual: 10 });
  });
  it('compares nothing when there is too little', () => {
    expect(newestMinute(emptySeries)).toEqual({ cut: 0, commit: null });
    expect(newestMinute(seeded(emptySeries, history(60, 5000, { commit_ms_p99: flat(null) }))).commit).toBeNull();
    expect(newestMinute(seeded(emptySeries, history(12, 5000))).commit).toBeNull();
  });
});
