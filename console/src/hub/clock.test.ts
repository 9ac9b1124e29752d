import { expect, test } from 'vitest';
import { hubAhead, noteDate } from './clock';

test('a difference of clocks is taken from the header Date, and a small one is none', () => {
  const now = Date.parse('2026-11-26T20:00:00Z');
  noteDate('Thu, 26 Nov 2026 22:00:00 GMT', now);
  expect(hubAhead()).toBe(7_200_000);
  noteDate(null, now);
  noteDate('soon', now);
  expect(hubAhead()).toBe(7_200_000);
  noteDate('Thu, 26 Nov 2026 18:00:00 GMT', now);
  expect(hubAhead()).toBe(-7_200_000);
  noteDate('Thu, 26 Nov 2026 19:59:58 GMT', now);
  expect(hubAhead()).toBe(0);
});
