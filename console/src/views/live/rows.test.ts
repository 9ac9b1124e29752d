import { expect, test } from 'vitest';
import { wanted } from './filter';
import { LiveStore } from './live-store';
import { MAX_HEIGHT, Rows } from './rows';
import { sample, samples } from './sample';

const shown = (rows: Rows) => [...rows.rows].map(({ item }) => (item.kind === 'event' ? item.id.slice(5) : item.mark.type));
const contiguous = (rows: Rows) => {
  let at = rows.origin;
  for (const { top, height } of rows.rows) {
    expect(top).toBe(at);
    at += height;
  }
  expect(rows.height).toBe(at - rows.origin);
};

test('follows a store that grows, drops its oldest, and gets older ones back', () => {
  const store = new LiveStore({ items: 5, bytes: 1e6 });
  const rows = new Rows(store, (item) => 10 + (item.n % 3));
  const check = () => {
    rows.sync(1000);
    expect(shown(rows)).toEqual([...store.events].map((item) => (item.kind === 'event' ? item.id.slice(5) : '')));
    expect(rows.complete).toBe(true);
    contiguous(rows);
  };
  check();
  for (let at = 0; at < 30; at += 3) {
    store.push(samples(at, at + 3));
    check();
  }
  const number = rows.first;
  store.pause();
  store.prepend(samples(20, 25));
  check();
  expect(rows.first).toBe(number - 5);
  store.resume();
  store.push(samples(30, 100));
  check();
  store.reset();
  check();
  store.push(samples(0, 2));
  check();
});

test('a filter counts what matches and what was looked at; marks stay', () => {
  const store = new LiveStore({ items: 8, bytes: 1e6 });
  const rows = new Rows(store, () => 10, wanted({ name: null, text: 'EVEN' }));
  const even = (at: number) => sample(at, at % 2 ? 'odd' : 'even');
  store.push(Array.from({ length: 6 }, (_, at) => even(at)));
  store.push([{ kind: 'mark', mark: { type: 'live', replayed: 6 } }]);
  rows.sync(1000);
  expect(shown(rows)).toEqual(['0', '2', '4', 'live']);
  expect([rows.matched, rows.looked]).toEqual([3, 6]);
  store.push(Array.from({ length: 4 }, (_, at) => even(6 + at)));
  rows.sync(1000);
  expect(shown(rows)).toEqual(['4', 'live', '6', '8']);
  expect([rows.matched, rows.looked, store.held]).toEqual([3, 7, 7]);
});

test('a little at a time, the newest first', () => {
  const store = new LiveStore();
  store.push(samples(0, 5000));
  const rows = new Rows(store, () => 10);
  let now = 0;
  let turns = 0;
  do {
    rows.sync(1, () => (now += 1));
    expect(shown(rows).at(-1)).toBe('4999');
    turns += 1;
  } while (!rows.complete);
  expect(turns).toBeGreaterThan(10);
  expect(rows.rows.length).toBe(5000);
  contiguous(rows);
});

test('no higher than a browser can draw', () => {
  const store = new LiveStore();
  store.push(samples(0, 100));
  const rows = new Rows(store, () => MAX_HEIGHT / 10);
  rows.sync(1000);
  expect(rows.height).toBeLessThanOrEqual(MAX_HEIGHT * 30);
  expect(rows.capped && rows.complete).toBe(true);
  store.push(samples(100, 140));
  rows.sync(1000);
  expect(rows.height).toBeLessThanOrEqual(MAX_HEIGHT);
  expect(shown(rows).at(-1)).toBe('139');
});

test('where a row is', () => {
  const store = new LiveStore();
  store.push(samples(0, 10));
  const rows = new Rows(store, () => 10);
  rows.sync(1000);
  expect([0, 9, 10, 55, 1000].map((pixels) => rows.indexAt(pixels))).toEqual([0, 0, 1, 5, 9]);
  rows.resize(2, 40);
  contiguous(rows);
  expect([25, 59, 60].map((pixels) => rows.indexAt(pixels))).toEqual([2, 2, 3]);
  expect(rows.indexOf(7)).toBe(7);
});

test('an item that was changed is laid out anew', () => {
  const store = new LiveStore();
  const rows = new Rows(store, (item) => (item.kind === 'event' && item.removed ? 1 : 10));
  store.push(samples(0, 3));
  rows.sync(1000);
  store.push([sample(3, '{"id":"abcd-1"}', 'hub.removed')]);
  rows.sync(1000);
  expect([...rows.rows].map(({ height }) => height)).toEqual([10, 1, 10, 10]);
});
