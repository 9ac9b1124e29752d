// A hub with something to see: what the screenshots in docs/ show.
import type { Hub } from './hub';

const SENTENCE = (
  'An event is written to disk before anyone sees it. So whoever comes back with the id of the last event gets exactly what was missed: ' +
  'after a refresh, a dead network, a slow phone, a restart. Where events are gone, the stream says so. There is no third case.'
).split(/(?<= )/);

const LOG = [
  ['info', 'listening on 0.0.0.0:8443'],
  ['info', 'GET /orders/4812 200 in 12 ms'],
  ['warn', 'payment provider answered after 2.1 s'],
  ['info', 'order 4812 is paid'],
  ['error', 'cannot send the receipt: mailbox is full'],
  ['debug', 'retrying in 30 s'],
] as const;

/** Publishes a little of everything. */
export async function furnish(hub: Hub): Promise<void> {
  const events: { topic: string; data: unknown; event?: string }[] = [];
  for (const word of SENTENCE) events.push({ topic: 'chats/42', event: 'token', data: { text: word } });
  for (let done = 0; done <= 64; done += 4) events.push({ topic: 'jobs/import', event: 'progress', data: { done, total: 100, label: 'Importing customers' } });
  for (let done = 0; done <= 100; done += 20) events.push({ topic: 'jobs/thumbnails', event: 'progress', data: { done, total: 100, label: 'Thumbnails' } });
  for (const [level, msg] of LOG) events.push({ topic: 'logs/shop', event: 'log', data: { level, msg } });
  events.push({ topic: 'notices', event: 'notification', data: { title: 'Backup done', message: '12.4 GiB in 3 min 20 s', priority: 3 } });
  for (const room of ['kitchen', 'office', 'cellar']) {
    for (let step = 0; step < 30; step += 1) events.push({ topic: `sensors/${room}`, data: { celsius: 19 + (step % 7) / 10, humidity: 40 + (step % 5) } });
  }
  for (let tenant = 1; tenant <= 40; tenant += 1) events.push({ topic: `tenants/${String(tenant).padStart(3, '0')}/audit`, data: 'signed in' });
  await hub.publishAll(events);
  await hub.fetch('topics/logs/shop', { method: 'PUT', body: '{"retention":{"max_age":"7d","max_bytes":104857600}}' });
}

/** Publishes a sensor's reading, again and again, until it is disposed of: some 20 events a second. */
export function traffic(hub: Hub): AsyncDisposable {
  let over = false;
  const running = (async () => {
    for (let turn = 0; !over; turn += 1) {
      const rooms = ['kitchen', 'office', 'cellar'].slice(0, 1 + (turn % 3));
      await hub.publishAll(rooms.map((room) => ({ topic: `sensors/${room}`, data: { celsius: Number((19 + Math.sin(turn / 20)).toFixed(2)), turn } }))).catch(() => undefined);
      await new Promise((wait) => setTimeout(wait, 100));
    }
  })();
  return {
    async [Symbol.asyncDispose]() {
      over = true;
      await running;
    },
  };
}
