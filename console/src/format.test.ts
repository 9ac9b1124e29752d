import { expect, it } from 'vitest';
import { brief, bytes, duration, milliseconds, plural } from './format';

it('writes numbers for people', () => {
  expect([0, 1.234, 12, 999, 9999, 12_345, 1_234_567, 5.6e9].map(brief)).toEqual(['0', '1.23', '12', '999', '9,999', '12.3 k', '1.23 M', '5.6 G']);
  expect([0, 1023, 1024, 1536, 1048576 * 64, 1024 ** 6 * 3].map(bytes)).toEqual(['0 B', '1,023 B', '1 KiB', '1.5 KiB', '64 MiB', '3,070 PiB']);
  expect([0.123, 12, 9999, 12_000].map(milliseconds)).toEqual(['0.123 ms', '12 ms', '10,000 ms', '12 s']);
  expect([0, 400, 12_000, 65_000, 3_600_000, 100_000_000].map(duration)).toEqual(['0 s', '0.4 s', '12 s', '1 min 5 s', '1 h', '1 d 3 h']);
  expect([plural(1, 'event'), plural(2, 'event'), plural(0, 'reply', 'replies')]).toEqual(['1 event', '2 events', '0 replies']);
});
