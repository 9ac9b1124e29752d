// A time without a connection, and what it cost: by the ids that the page really saw, compared with the log itself.
import { count, duration, plural } from '../../format';
import { isBefore, parts } from '../../hub/id';
import type { EventsPage, Gap } from '../../hub/types';

/** Ids remembered to be compared with the log: more are said to be beyond the check. */
export const MOST_CHECKED = 20_000;
/** Events of one page of the log: the hub's maximum. */
const PAGE = 1000;
/** Above that the distance of two ids says nothing of the number of events: after a crash the hub skips a million. */
const COUNTABLE = 10_000;

export interface Comparison {
  /** Events of the log that did not come. */
  missed: number;
  /** Events of the log that were compared. */
  compared: number;
  /** There were more than were compared. */
  partial: boolean;
}

export class Crossing {
  backAt: number | null = null;
  /** When the last event by replay came. */
  caughtUpAt: number | null = null;
  replayed = 0;
  twice = 0;
  gaps: Gap[] = [];
  ended = false;
  comparison: Comparison | null = null;
  /** Why there is no comparison, for people. */
  unchecked: string | null = null;
  private seen = new Set<string>();

  constructor(
    readonly lostAt: number,
    /** The newest id of before; empty without one. */
    readonly before: string,
    /** The page cut the connection itself. */
    readonly onPurpose: boolean,
  ) {}

  /** An event after the connection was back. `newest`: the newest id that was seen before it. */
  see(id: string, newest: string, replayed: boolean, now: number): void {
    if (id === newest || isBefore(id, newest) || this.seen.has(id)) this.twice += 1;
    if (!replayed) return;
    this.replayed += 1;
    this.caughtUpAt = now;
    if (this.seen.size < MOST_CHECKED) this.seen.add(id);
  }

  /**
   * Compares with the log, from the id before up to `last`, the newest event that came by replay.
   * @param page reads the events after a cursor, at most so many
   */
  async compare(last: string, page: (after: string, limit: number) => Promise<EventsPage>): Promise<void> {
    let missed = 0;
    let compared = 0;
    let cursor = this.before;
    while (cursor && compared < MOST_CHECKED) {
      const { events, next, gaps } = await page(cursor, PAGE);
      // Another store: the stream may tell it only now. (Of a trimmed event the stream may have been in time.)
      if (!this.gaps.length) this.gaps.push(...gaps.filter(({ reason }) => reason === 'unknown' || reason === 'ahead'));
      const mine = events.filter(({ id }) => !isBefore(last, id));
      compared += mine.length;
      missed += mine.filter(({ id }) => !this.seen.has(id)).length;
      if (mine.length < events.length || next === cursor || !isBefore(next, last)) {
        this.comparison = { missed, compared, partial: false };
        this.seen.clear();
        return;
      }
      cursor = next;
    }
    this.comparison = { missed, compared, partial: true };
    this.seen.clear();
  }
}

/** 12 ms, 3.0 s, 12 min 5 s: the digits stay while it runs. */
export const span = (ms: number): string =>
  ms < 100 ? `${Math.max(0, Math.round(ms))} ms` : ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : duration(ms);

/** How many events a gap may stand for: at most the ids between; null when that says nothing. */
function atMost({ after, resumes_at }: Gap): number | null {
  const [from, to] = [parts(after ?? ''), parts(resumes_at ?? '')];
  if (!from || !to || from.epoch !== to.epoch) return null;
  const between = Number(to.seq - from.seq) - 1;
  return between >= 0 && between <= COUNTABLE ? between : null;
}

/** The result in words: `missed 0, twice 0; 37 events came by replay in 0.2 s after 3.0 s without a connection`. */
export function verdict(crossing: Crossing): string {
  const { gaps, twice, replayed, comparison, unchecked, backAt, caughtUpAt, lostAt } = crossing;
  const away = span((backAt ?? Date.now()) - lostAt);
  const took = replayed && caughtUpAt && backAt ? ` in ${span(caughtUpAt - backAt)}` : '';
  const came = `${plural(replayed, 'event')} came by replay${took} after ${away} without a connection`;
  return `${missedWords(gaps, comparison)}, twice ${count(twice)}; ${came}${
    comparison?.partial ? `; the first ${count(comparison.compared)} were compared with the log` : ''
  }${unchecked ? `; not compared with the log: ${unchecked}` : ''}`;
}

function missedWords(gaps: Gap[], comparison: Comparison | null): string {
  const missed = comparison?.missed ?? 0;
  if (!gaps.length) return `missed ${count(missed)}`;
  const most = gaps.map(atMost);
  const told = most.every((number) => number !== null)
    ? `at most ${count(most.reduce((sum, number) => sum + number!, 0))}`
    : 'events that are gone';
  return missed ? `missed ${told}, told by a gap, and ${count(missed)} without a word` : `missed ${told}, told by a gap`;
}

/** Whether nothing was missed and nothing came twice, and that is known. */
export const faultless = ({ gaps, twice, comparison }: Crossing): boolean => !gaps.length && !twice && comparison?.missed === 0;

const two = (value: number) => String(value).padStart(2, '0');
const time = (ms: number) => {
  const date = new Date(ms);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
};

/** The line in the list: `Connection lost 14:03:07, back after 3.1 s: nothing missed, 12 by replay`. */
export function backLine(crossing: Crossing): string {
  const { lostAt, backAt, comparison, unchecked, gaps, twice, replayed } = crossing;
  const start = `Connection ${crossing.onPurpose ? 'cut' : 'lost'} ${time(lostAt)}, back after ${span((backAt ?? Date.now()) - lostAt)}`;
  if (!comparison && !unchecked) return `${start}: catching up`;
  const missed = unchecked
    ? gaps.length
      ? 'events are gone, told by a gap'
      : 'no gap told'
    : faultless(crossing)
      ? 'nothing missed'
      : `${missedWords(gaps, comparison)}, twice ${count(twice)}`;
  return `${start}: ${missed}, ${count(replayed)} by replay`;
}
