import { expect, test } from 'vitest';
import { sizeOf, sizeText, wholeOf } from './limits';

test('sizes as people type them', () => {
  expect(sizeOf('10 MiB')).toBe(10 * 1024 ** 2);
  expect(sizeOf('1.5g')).toBe(1.5 * 1024 ** 3);
  expect(sizeOf('1,000')).toBe(1000);
  expect(sizeOf('5 MB')).toBe(5_000_000);
  for (const text of ['', 'MiB', '-1', '10 apples', '1e9']) expect(sizeOf(text)).toBeNaN();
});

test('what is shown is read back as it was', () => {
  for (const bytes of [1, 1023, 1024, 1025, 10 * 1024 ** 2, 3 * 1024 ** 4]) expect(sizeOf(sizeText(bytes))).toBe(bytes);
});

test('whole numbers', () => {
  expect(wholeOf(' 10,000 ')).toBe(10_000);
  for (const text of ['', '1.5', '-1', 'ten']) expect(wholeOf(text)).toBeNaN();
});
