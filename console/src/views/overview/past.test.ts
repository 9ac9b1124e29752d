import { expect, it } from 'vitest';
import { minuteBefore, noPast, remembered } from './past';
import { stats } from './sample-stats';

const second = (uptime_s: number) => stats({ uptime_s });

/** Figures of each second, from 0 to `seconds`. */
const run = (seconds: number) => {
  let past = noPast;
  for (let at = 0; at <= seconds; at++) past = remembered(past, second(100 + at), at * 1000);
  return past;
};

it('compares with a minute ago, or with what is known', () => {
  expect(minuteBefore(run(0), 0)).toBeNull();
  expect(minuteBefore(run(20), 20_000)).toEqual({ stats: second(100), seconds: 20 });
  expect(minuteBefore(run(300), 300_000)).toEqual({ stats: second(340), seconds: 60 });
  // Between two of those that are kept.
  expect(minuteBefore(run(303), 303_000)?.seconds).toBe(63);
});

it('keeps a dozen, however long it runs', () => {
  expect(run(3000).moments.length).toBeLessThanOrEqual(14);
});

it('begins anew with another process', () => {
  const past = remembered(run(100), second(1), 105_000);
  expect(past).toEqual({ moments: [{ stats: second(1), at: 105_000 }], restarted: true });
  expect(minuteBefore(past, 105_000)).toBeNull();
});
