import { expect, test } from 'vitest';
import type { Envelope } from '../../hub/types';
import { costWords, ends, gapWords } from './words';

const event = (id: string, ...at: [number, number, number, number, number]) => ({ id, time: new Date(...at).toISOString() }) as Envelope;
const cost = { removes: 1234, about: true, atMost: false, from: event('e-1', 2026, 10, 20, 9, 30), oldest: event('e-1235', 2026, 10, 26, 12, 4), byRule: [] };

test('how many events go, from when, and which would be the oldest', () => {
  expect(costWords(cost, 5000)).toBe('Removes about 1,234 events of 5,000. They are of 2026-11-20 09:30 and later; the oldest kept would be of 2026-11-26 12:04 (e-1235).');
  expect(costWords({ ...cost, removes: 1, about: false }, 2)).toMatch(/^Removes 1 event of 2\. /);
  expect(costWords({ ...cost, removes: 5000, oldest: null }, 5000)).toBe('Removes all 5,000 events kept now. The oldest is of 2026-11-20 09:30.');
});

test('what costs nothing, and what cannot be known', () => {
  const none = { ...cost, removes: 0, from: null, oldest: null };
  expect(costWords(none, 5)).toBe('Removes nothing now.');
  expect(costWords({ ...none, byRule: ['max_age'] }, 5)).toBe('For the age the hub’s own rule applies then, if it has one for this topic. What that removes cannot be told from here.');
});

test('what is gone', () => {
  expect(gapWords({ topic: 't', reason: 'lost', after: 'e-3', resumes_at: 'e-9' })).toBe('Events after e-3 were lost with a part of the store; the next kept is e-9.');
  expect(gapWords({ reason: 'unknown', after: 'other-3', resumes_at: null })).toBe('The id other-3 is of another store. The oldest events of this one are shown.');
});

test('what ends', () => {
  expect(ends(0)).toBe('No stream reads it now.');
  expect(ends(1)).toMatch(/^Its 1 stream ends;/);
  expect(ends(3)).toMatch(/^Its 3 streams end;/);
});
