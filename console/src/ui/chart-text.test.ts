import { expect, it } from 'vitest';
import { ago, alone, extent, inWords, scaleSteps } from './chart-text';

const line = (name: string, values: (number | null)[]) => ({ name, colour: '--accent', values });

it('finds the newest, lowest and highest of what is known', () => {
  expect(extent([3, null, 9, 1, 4, null])).toEqual({ newest: 4, lowest: 1, highest: 9 });
  expect(extent([null])).toBeNull();
  expect(extent([])).toBeNull();
});

it('finds values of which no line can be drawn', () => {
  expect(alone([1, null, 2, 3, null, 4, null])).toEqual([0, 5]);
  expect(alone([null, 7])).toEqual([1]);
});

it('says a chart in words', () => {
  expect(inWords('Events', [line('in', [1, 5, 2]), line('out', [null])], (value) => `${value} /s`)).toBe(
    'Events: in now 2 /s, lowest 1 /s, highest 5 /s; out no data.',
  );
});

it('names moments by their distance', () => {
  expect([900, 300, 59, 0].map(ago)).toEqual(['15 min ago', '5 min ago', '59 s ago', 'now']);
});

it('has round numbers on the axis, the highest value below the top', () => {
  expect(scaleSteps(0)).toEqual([0, 1]);
  expect(scaleSteps(37)).toEqual([0, 20, 40]);
  expect(scaleSteps(3500)).toEqual([0, 2000, 4000]);
  expect(scaleSteps(1)).toEqual([0, 0.5, 1]);
  expect(scaleSteps(4.1)).toEqual([0, 2.5, 5]);
  expect(scaleSteps(1000)).toEqual([0, 500, 1000]);
  expect(scaleSteps(0.03)).toEqual([0, 0.02, 0.04]);
});

it('has round numbers of bytes', () => {
  expect(scaleSteps(34 * 1024 ** 3, 1024)).toEqual([0, 20 * 1024 ** 3, 40 * 1024 ** 3]);
  expect(scaleSteps(900, 1024)).toEqual([0, 512, 1024]);
  expect(scaleSteps(0.4, 1024)).toEqual([0, 1]);
  expect(scaleSteps(1020 * 1024, 1024)).toEqual([0, 512 * 1024, 1024 ** 2]);
  expect(scaleSteps(1023.9 * 1024, 1024).at(-1)).toBe(1024 ** 2);
});

it('always covers the highest value, in few steps', () => {
  for (let highest = 0.001; highest < 1e13; highest *= 1.37) {
    for (const base of [10, 1024] as const) {
      const steps = scaleSteps(highest, base);
      expect(steps.at(-1)!).toBeGreaterThanOrEqual(highest * 0.999999);
      expect(steps.length).toBeLessThanOrEqual(3);
    }
  }
});
