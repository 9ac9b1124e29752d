// The figures of the last 15 minutes: seeded from the hub's history, and continued from its figures of each second.
import type { Stats, StatsHistory } from '../../hub/types';

/** What is shown, in seconds. */
export const SPAN = 900;
/** Distance of samples until the hub says it, in seconds. */
const INTERVAL = 5;
/** A distance of so many intervals is a hole: no line is drawn over it. */
const HOLE = 3;

const COLUMNS = ['events_in', 'events_out', 'bytes_in', 'bytes_out', 'live', 'replaying', 'lagged', 'commit_ms_p99', 'refused', 'gaps',
  'cut', 'disk_free_bytes'] as const;
export type Column = (typeof COLUMNS)[number];

/** Columns of equal length, oldest first, with `time` in seconds since the epoch by the hub's clock. Null: not known. */
export type Columns = { time: number[] } & Record<Column, (number | null)[]>;

export interface Series {
  /** Distance of samples, in seconds. */
  interval: number;
  columns: Columns;
  /** The figures at the end of the newest sample, or with which the first one begins. */
  base: { stats: Stats; time: number } | null;
}

type Row = { time: number } & Record<Column, number | null>;

const sum = (numbers: Record<string, number>) => Object.values(numbers).reduce((total, each) => total + each, 0);

const fromRows = (rows: Row[]): Columns =>
  Object.fromEntries((['time', ...COLUMNS] as const).map((name) => [name, rows.map((row) => row[name])])) as Columns;

const toRows = (columns: Columns): Row[] =>
  columns.time.map((time, at) => ({ time, ...Object.fromEntries(COLUMNS.map((name) => [name, columns[name][at] ?? null])) }) as Row);

const nothing = (time: number): Row => ({ time, ...Object.fromEntries(COLUMNS.map((name) => [name, null])) }) as Row;

export const emptySeries: Series = { interval: INTERVAL, columns: fromRows([]), base: null };

/** Rows in order, with an empty row in each hole, without those that are older than the span. */
function joined(rows: Row[], interval: number): Columns {
  const oldest = (rows.at(-1)?.time ?? 0) - SPAN;
  const shown: Row[] = [];
  for (const row of rows) {
    if (row.time < oldest) continue;
    const before = shown.at(-1);
    if (before && row.time - before.time > HOLE * interval) shown.push(nothing(before.time + interval));
    shown.push(row);
  }
  return fromRows(shown);
}

/** The hub's history replaces what is known of its time; what is older (of a hub that was restarted) or newer stays. */
export function seeded(series: Series, history: StatsHistory): Series {
  const { interval_s: interval, time } = history;
  const [first, last] = [time[0], time.at(-1)];
  if (first === undefined || last === undefined) return { ...series, interval };
  const known = toRows(series.columns);
  const rows = [
    ...known.filter((row) => row.time <= first - interval / 2),
    ...toRows(history as Columns),
    ...known.filter((row) => row.time >= last + interval / 2),
  ];
  return { ...series, interval, columns: joined(rows, interval) };
}

/** Adds a sample when an interval is over. `time`: when the figures came, by the hub's clock. */
export function extended(series: Series, stats: Stats, time: number): Series {
  const { base, interval } = series;
  const begun = { ...series, base: { stats, time } };
  if (!base || stats.uptime_s < base.stats.uptime_s) return begun;
  const seconds = time - base.time;
  // The clock of this computer was set back.
  if (seconds < 0) return begun;
  if (seconds < interval) return series;
  // Nothing came for long: what happened meanwhile is in the hub's history.
  if (seconds > HOLE * interval) return begun;
  const newest = series.columns.time.at(-1) ?? -Infinity;
  if (time <= newest) return begun;
  const row = sample(base.stats, stats, seconds, time);
  return { ...begun, columns: joined([...toRows(series.columns), row], interval) };
}

function sample(before: Stats, now: Stats, seconds: number, time: number): Row {
  const rate = (one: number, other: number) => Math.max(0, other - one) / seconds;
  return {
    time,
    events_in: rate(before.events.in_total, now.events.in_total),
    events_out: rate(before.events.out_total, now.events.out_total),
    bytes_in: rate(before.bytes.in_total, now.bytes.in_total),
    bytes_out: rate(before.bytes.out_total, now.bytes.out_total),
    live: now.subscriptions.live,
    replaying: now.subscriptions.replaying,
    lagged: now.subscriptions.lagged,
    // Only the history has that of an interval.
    commit_ms_p99: null,
    refused: rate(sum(before.refused_total), sum(now.refused_total)),
    gaps: rate(sum(before.gaps_total), sum(now.gaps_total)),
    cut: Math.max(0, now.slow_readers_cut_total - before.slow_readers_cut_total),
    disk_free_bytes: now.store.disk_free_bytes ?? null,
  };
}

/** What the newest minute of the series says beyond the figures of this moment. */
export interface Minute {
  /** Readers that were cut. */
  cut: number;
  /** The 99th percentile of commits, in milliseconds: the middle of this minute's, and of those before it. Null: too few are known. */
  commit: { now: number; usual: number } | null;
}

/** Samples with commits of which a middle is told. */
const ENOUGH = { now: 3, usual: 12 };

export function newestMinute({ columns }: Series): Minute {
  const from = (columns.time.at(-1) ?? 0) - 60;
  const isNew = columns.time.map((time) => time > from);
  const commits = (now: boolean) =>
    columns.commit_ms_p99.filter((value, at): value is number => value !== null && isNew[at] === now && value > 0);
  const [recent, earlier] = [commits(true), commits(false)];
  return {
    cut: columns.cut.reduce<number>((total, value, at) => total + (isNew[at] ? (value ?? 0) : 0), 0),
    commit: recent.length < ENOUGH.now || earlier.length < ENOUGH.usual ? null : { now: median(recent), usual: median(earlier) },
  };
}

const median = (values: number[]): number => [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)]!;
