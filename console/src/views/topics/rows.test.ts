import { expect, test } from 'vitest';
import type { Topic } from '../../hub/types';
import { byteOrder } from './order';
import { OVERSCAN, refreshed, renderedRows } from './rows';

test('only the rows of the window are rendered', () => {
  expect(renderedRows(0, 400, 40, 20_000)).toEqual({ from: 0, to: 10 + OVERSCAN });
  expect(renderedRows(400_000, 400, 40, 20_000)).toEqual({ from: 10_000 - OVERSCAN, to: 10_010 + OVERSCAN });
  expect(renderedRows(900_000, 400, 40, 20_000)).toEqual({ from: 20_000, to: 20_000 });
  expect(renderedRows(-2000, 400, 40, 20_000)).toEqual({ from: 0, to: 0 });
  expect(renderedRows(0, 400, 40, 0)).toEqual({ from: 0, to: 0 });
});

test('names are in the order of their UTF-8 bytes', () => {
  const names = ['a', 'a/b', 'ab', 'ä', '￼', '😀', ''];
  const bytes = (text: string) => Buffer.from(text);
  expect([...names].sort(byteOrder)).toEqual([...names].sort((a, b) => Buffer.compare(bytes(a), bytes(b))));
});

const topics = (names: string, events = 0) => [...names].map((topic) => ({ topic, events }) as Topic);
const shown = (rows: Topic[]) => rows.map(({ topic, events }) => topic + events).join(' ');

test('a page that was read again replaces its part', () => {
  const rows = topics('acegi');
  expect(shown(refreshed(rows, null, { topics: topics('ac', 1), next: 'c' }))).toBe('a1 c1 e0 g0 i0');
  expect(shown(refreshed(rows, 'a', { topics: topics('ceg', 1), next: 'g' }))).toBe('a0 c1 e1 g1 i0');
});

test('new topics appear and deleted ones go', () => {
  const rows = topics('acegi');
  expect(shown(refreshed(rows, 'a', { topics: topics('def', 1), next: 'f' }))).toBe('a0 d1 e1 f1 g0 i0');
  expect(shown(refreshed(rows, 'c', { topics: topics('hz', 1), next: null }))).toBe('a0 c0 h1 z1');
  expect(shown(refreshed(rows, null, { topics: [], next: null }))).toBe('');
});

test('a page without names that is not the last one changes nothing', () => {
  // The hub bounds the work of a search: a page may end before anything is found.
  expect(shown(refreshed(topics('ac'), null, { topics: [], next: 'b' }))).toBe('a0 c0');
});
