import { expect, test } from 'vitest';
import { type Place, placeOf, placeQuery, typedPlace } from './place';

test('a place is the same after a way through the address', () => {
  const places: Place[] = [
    { kind: 'newest' },
    { kind: 'before', id: 'yrtxnomj-17' },
    { kind: 'after', id: 'yrtxnomj-17' },
    { kind: 'at', id: 'yrtxnomj-17' },
    { kind: 'since', time: '2026-11-26T12:04:00.000Z' },
  ];
  for (const place of places) expect(placeOf(new URLSearchParams(new URLSearchParams(placeQuery(place)).toString()))).toEqual(place);
});

const now = new Date(2026, 10, 26, 20, 43, 5);
const typed = (text: string) => typedPlace(text, 'yrtxnomj', now);
const local = (...at: [number, number, number, number, number, number?, number?]) => ({ kind: 'since', time: new Date(...at).toISOString() });

test('an id, or its number alone', () => {
  expect(typed(' other-3 ')).toEqual({ kind: 'at', id: 'other-3' });
  expect(typed('9007199254740993')).toEqual({ kind: 'at', id: 'yrtxnomj-9007199254740993' });
  expect(typedPlace('17', null, now)).toBeNull();
});

test('a time of this time zone, or with its own', () => {
  expect(typed('12:04')).toEqual(local(2026, 10, 26, 12, 4));
  expect(typed('9:04:05.250')).toEqual(local(2026, 10, 26, 9, 4, 5, 250));
  expect(typed('2026-11-20 12:04')).toEqual(local(2026, 10, 20, 12, 4));
  expect(typed('2026-11-20')).toEqual(local(2026, 10, 20, 0, 0));
  expect(typed('2026-11-20T12:04:00Z')).toEqual({ kind: 'since', time: '2026-11-20T12:04:00.000Z' });
});

test('an age', () => {
  expect(typed('10m')).toEqual(local(2026, 10, 26, 20, 33, 5));
  expect(typed('1h 30min')).toEqual(local(2026, 10, 26, 19, 13, 5));
  expect(typed('2 d ago')).toEqual(local(2026, 10, 24, 20, 43, 5));
});

test('anything else is none', () => {
  for (const text of ['', 'now', '25:00', '12:61', '2026-13-40', 'ten minutes', '1x']) expect(typed(text)).toBeNull();
});
