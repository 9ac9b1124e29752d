import { expect, test } from 'vitest';
import type { LiveItem } from './entry';
import { LiveStore } from './live-store';
import { sample, samples } from './sample';

const ids = (items: Iterable<LiveItem>) => [...items].map((item) => (item.kind === 'event' ? item.id : item.mark.type));
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => `abcd-${from + at}`);

test('holds the newest, and counts what left', () => {
  const store = new LiveStore({ items: 10, bytes: 1e6 });
  for (let at = 0; at < 25; at += 5) store.push(samples(at, at + 5));
  expect(ids(store.events)).toEqual(range(15, 25));
  expect([store.total, store.skipped, store.held]).toEqual([25, 15, 10]);
  expect(store.events.at(0)!.n).toBe(15);
  expect(store.indexOf(17)).toBe(2);
  expect(store.indexOf(3)).toBe(-1);
});

test('holds no more bytes than its bound, and one event however large', () => {
  const store = new LiveStore({ items: 100, bytes: 1000 });
  store.push(Array.from({ length: 10 }, (_, at) => sample(at, 'x'.repeat(300))));
  expect(ids(store.events)).toEqual(range(7, 10));
  expect(store.heldBytes).toBe(900);
  store.push([sample(10, 'ä'.repeat(5000))]);
  expect(ids(store.events)).toEqual(['abcd-10']);
  expect([store.heldBytes, store.skipped]).toEqual([10_000, 10]);
});

test('listeners get each batch; during a pause nothing, and then what waited', () => {
  const store = new LiveStore({ items: 10, bytes: 1e6 });
  const seen: [string[], number][] = [];
  const stop = store.subscribe((batch, skipped) => seen.push([ids(batch), skipped]));
  store.push(samples(0, 2));
  store.pause();
  store.push(samples(2, 4));
  expect(ids(store.events)).toEqual(range(0, 2));
  expect(store.waiting).toBe(2);
  store.resume();
  expect(ids(store.events)).toEqual(range(0, 4));
  expect(store.waiting).toBe(0);
  store.pause();
  // More than waits: the oldest of them, and what stood before, are not shown.
  store.push(samples(4, 12));
  expect([store.waiting, store.total]).toEqual([8, 12]);
  store.resume();
  expect(ids(store.events)).toEqual(range(7, 12));
  expect(store.skipped).toBe(7);
  expect(seen).toEqual([[range(0, 2), 0], [range(2, 4), 0], [range(7, 12), 3]]);
  stop();
  store.push(samples(12, 13));
  expect(seen).toHaveLength(3);
});

test('older events come before, and leave first', () => {
  const store = new LiveStore({ items: 4, bytes: 1e6 });
  store.push(samples(0, 10));
  store.pause();
  store.prepend(samples(3, 6));
  expect(ids(store.events)).toEqual(range(3, 10));
  expect([...store.events].map(({ n }) => n)).toEqual([3, 4, 5, 6, 7, 8, 9]);
  expect(store.skipped).toBe(3);
  store.resume();
  expect(ids(store.events)).toEqual(range(6, 10));
  expect(store.skipped).toBe(6);
});

test('an event that was removed is forgotten, shown or waiting', () => {
  const store = new LiveStore();
  const told: string[] = [];
  store.onRemoved((id) => told.push(id));
  store.push([sample(0, 'secret'), sample(1, 'other')]);
  store.push([sample(2, '{"topic":"story","id":"abcd-0"}', 'hub.removed')]);
  expect(store.events.at(0)).toMatchObject({ id: 'abcd-0', data: '', event: 'hub.removed', removed: true, size: 0 });
  expect(store.events.at(1)).toMatchObject({ data: 'other', removed: false });
  store.pause();
  store.push([sample(3, 'waits'), sample(4, '{"topic":"story","id":"abcd-3"}', 'hub.removed'), sample(5, '{"topic":"story","id":"abcd-1"}', 'hub.removed')]);
  expect(store.events.at(1)).toMatchObject({ data: '', removed: true });
  store.resume();
  expect(store.events.at(3)).toMatchObject({ id: 'abcd-3', data: '', removed: true });
  // A tombstone is one by itself, and not a notice of another event.
  store.push([sample(6, '{"topic":"story","id":"abcd-6"}', 'hub.removed')]);
  expect(store.events.at(6)).toMatchObject({ removed: true });
  expect(store.events.at(2)).toMatchObject({ removed: false });
  expect(told).toEqual(['abcd-0', 'abcd-3', 'abcd-1', 'abcd-6']);
});

test('names are counted within a bound', () => {
  const store = new LiveStore();
  store.push(Array.from({ length: 300 }, (_, at) => sample(at, '', `name ${at % 250}`)));
  expect(store.names.size).toBe(200);
  expect(store.names.get('name 3')).toBe(2);
  expect(store.otherNames).toBe(50);
});

test('another selection begins with nothing', () => {
  const store = new LiveStore();
  let resets = 0;
  store.onReset(() => (resets += 1));
  store.push(samples(0, 3));
  store.pause();
  store.push(samples(3, 4));
  store.reset();
  expect([store.total, store.waiting, store.events.length, store.names.size, store.paused, resets]).toEqual([0, 0, 0, 0, false, 1]);
  // A number is never used twice.
  expect(store.push(samples(0, 1))[0]!.n).toBe(4);
});
