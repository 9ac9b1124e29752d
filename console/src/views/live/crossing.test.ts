import { expect, test } from 'vitest';
import type { EventsPage } from '../../hub/types';
import { Crossing, backLine, faultless, verdict } from './crossing';

const id = (seq: number) => `abcd-${seq}`;
const LOST = new Date(2026, 10, 26, 14, 3, 7).getTime();

/** The log has these ids; the hub's pages are of this size. */
const log = (seqs: number[], size = 1000) => async (after: string, limit: number): Promise<EventsPage> => {
  const from = Number(after.split('-')[1]);
  const events = seqs.filter((seq) => seq > from).slice(0, Math.min(size, limit));
  return {
    events: events.map((seq) => ({ topic: 'story', id: id(seq), time: '', event: 'message', data: '' })),
    next: id(events.at(-1) ?? from),
    gaps: [],
    closed: false,
  };
};

function crossed(seen: number[], replayedTo = Infinity): Crossing {
  const crossing = new Crossing(LOST, id(10), true);
  crossing.backAt = LOST + 3000;
  let newest = id(10);
  for (const seq of seen) {
    crossing.see(id(seq), newest, seq <= replayedTo, LOST + 3200);
    newest = id(seq);
  }
  return crossing;
}

test('nothing missed, nothing twice', async () => {
  const crossing = crossed([11, 13, 17, 20], 17);
  await crossing.compare(id(17), log([9, 10, 11, 13, 17, 20]));
  expect(crossing.comparison).toEqual({ missed: 0, compared: 3, partial: false });
  expect(verdict(crossing)).toBe('missed 0, twice 0; 3 events came by replay in 0.2 s after 3.0 s without a connection');
  expect(backLine(crossing)).toBe('Connection cut 14:03:07, back after 3.0 s: nothing missed, 3 by replay');
  expect(faultless(crossing)).toBe(true);
});

test('what the log has and the stream did not bring was missed, whatever the pages', async () => {
  const crossing = crossed([11, 14]);
  await crossing.compare(id(14), log([11, 12, 13, 14, 15], 2));
  expect(crossing.comparison).toEqual({ missed: 2, compared: 4, partial: false });
  expect(faultless(crossing)).toBe(false);
  expect(verdict(crossing)).toMatch(/^missed 2, twice 0;/);
});

test('what came again came twice', async () => {
  const crossing = crossed([10, 11, 11, 9, 12]);
  await crossing.compare(id(12), log([11, 12]));
  expect(verdict(crossing)).toMatch(/^missed 0, twice 3;/);
});

test('a gap says how many at most', async () => {
  const crossing = crossed([15]);
  crossing.gaps.push({ topic: 'story', after: id(10), resumes_at: id(15), reason: 'trimmed' });
  await crossing.compare(id(15), log([15]));
  expect(verdict(crossing)).toMatch(/^missed at most 4, told by a gap, twice 0; 1 event came/);
  // After a crash ids are a million apart.
  crossing.gaps.push({ after: id(10), resumes_at: id(1 << 20), reason: 'ahead' });
  expect(verdict(crossing)).toMatch(/^missed events that are gone, told by a gap/);
});

test('a comparison that was not possible is not believed', () => {
  const crossing = crossed([11]);
  crossing.unchecked = 'the hub cannot be reached';
  expect(faultless(crossing)).toBe(false);
  expect(verdict(crossing)).toContain('not compared with the log: the hub cannot be reached');
  expect(backLine(crossing)).toMatch(/no gap told, 1 by replay$/);
});

test('a log beyond the check is compared as far as it goes', async () => {
  const seqs = Array.from({ length: 25_000 }, (_, at) => 11 + at);
  const crossing = crossed(seqs);
  await crossing.compare(id(25_010), log(seqs));
  expect(crossing.comparison).toEqual({ missed: 0, compared: 20_000, partial: true });
  expect(verdict(crossing)).toContain('the first 20,000 were compared with the log');
});
