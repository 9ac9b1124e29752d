import { expect, test } from 'vitest';
import type { Envelope, Topic } from '../../hub/types';
import { type Probe, costOf } from './cost';

const event = (n: number) => ({ id: `yrtxnomj-${n}`, time: new Date(n * 1000).toISOString() }) as Envelope;

/** A log of `count` events, one a second, the newest of now; and the number of requests. */
function log(count: number) {
  const asked = { requests: 0 };
  const at = (index: number) => (index < count ? event(index + 1) : null);
  const probe: Probe = {
    oldest: async () => ((asked.requests += 1), at(0)),
    first: async (n) => ((asked.requests += 1), at(Math.max(0, count - n))),
    since: async (age) => ((asked.requests += 1), at(Math.max(0, count - Number(age)))),
  };
  return { topic: { events: count, bytes: count * 10 } as Topic, probe, asked };
}

test('a number of events', async () => {
  const { topic, probe } = log(1500);
  const cost = await costOf(topic, { max_events: 100 }, probe);
  expect(cost).toEqual({ removes: 1400, about: false, atMost: false, from: event(1), oldest: event(1401), byRule: [] });
  expect((await costOf(topic, { max_events: 1500 }, probe)).removes).toBe(0);
});

test('an age, exact for few events and near enough for many', async () => {
  const few = log(100);
  expect(await costOf(few.topic, { max_age: '30' }, few.probe)).toMatchObject({ removes: 70, about: false, oldest: event(71) });
  const many = log(1_000_000);
  const cost = await costOf(many.topic, { max_age: '250000' }, many.probe);
  expect(Math.abs(cost.removes - 750_000)).toBeLessThanOrEqual(2000);
  expect(cost).toMatchObject({ about: true, oldest: event(750_001) });
  expect(many.asked.requests).toBeLessThan(15);
});

test('an age that nothing reaches, and one that all have passed', async () => {
  const { topic, probe } = log(50);
  expect((await costOf(topic, { max_age: '50' }, probe)).removes).toBe(0);
  expect(await costOf(topic, { max_age: '0' }, probe)).toMatchObject({ removes: 50, oldest: null });
});

test('an age that keeps more than can be counted', async () => {
  const { topic, probe } = log(3_000_000);
  expect(await costOf(topic, { max_age: '2500000' }, probe)).toMatchObject({ removes: 2_000_000, atMost: true, oldest: event(500_001) });
});

test('bytes are an estimate', async () => {
  const { topic, probe } = log(100);
  expect(await costOf(topic, { max_bytes: 400 }, probe)).toMatchObject({ removes: 60, about: true, oldest: event(61) });
  expect((await costOf(topic, { max_bytes: 1000 }, probe)).removes).toBe(0);
});

test('the strictest limit counts', async () => {
  const { topic, probe } = log(100);
  expect(await costOf(topic, { max_events: 20, max_age: '30', max_bytes: 400 }, probe)).toMatchObject({ removes: 80, about: false, oldest: event(81) });
  expect(await costOf(topic, { max_events: 40, max_age: '30' }, probe)).toMatchObject({ removes: 70, oldest: event(71) });
});

test('what returns to the rule of the hub is named', async () => {
  const { topic, probe } = log(10);
  expect(await costOf(topic, { max_events: null, max_age: null }, probe)).toMatchObject({ removes: 0, byRule: ['max_events', 'max_age'] });
});
