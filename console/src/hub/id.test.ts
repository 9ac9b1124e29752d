import { expect, test } from 'vitest';
import { isBefore, parts, shifted } from './id';

test('an id has an epoch and a seq', () => {
  expect(parts('yrtxnomj-17')).toEqual({ epoch: 'yrtxnomj', seq: 17n });
  for (const text of ['', '17', 'yrtxnomj', 'yrtxnomj-', 'Yrtxnomj-1', 'abc-1', 'yrtxnomj-1x', ' yrtxnomj-1']) expect(parts(text)).toBeNull();
});

test('neighbours of an id, also beyond 2^53', () => {
  expect(shifted('yrtxnomj-17', -1)).toBe('yrtxnomj-16');
  expect(shifted('yrtxnomj-0', -1)).toBe('yrtxnomj-0');
  expect(shifted('yrtxnomj-9007199254740993', 1)).toBe('yrtxnomj-9007199254740994');
  expect(shifted('no id', 1)).toBe('no id');
});

test('order is by number, within one epoch', () => {
  expect(isBefore('yrtxnomj-9', 'yrtxnomj-10')).toBe(true);
  expect(isBefore('yrtxnomj-10', 'yrtxnomj-10')).toBe(false);
  expect(isBefore('yrtxnomj-1', 'another-2')).toBe(false);
});
