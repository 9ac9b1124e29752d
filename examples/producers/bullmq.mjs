#!/usr/bin/env node
// Publishes what happens in a queue of BullMQ to the topic queues/<name>. Usage: bullmq.mjs QUEUE
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';

const { GAPLESS_URL: url, GAPLESS_TOKEN: token, REDIS_URL = 'redis://127.0.0.1:6379' } = process.env;
const redis = new Redis(REDIS_URL, { maxRetriesPerRequest: null });
const queue = process.argv[2], topic = `queues/${queue}`;

async function hub(path, { headers, ...options } = {}) {
  const given = { accept: 'application/json', ...(token && { authorization: `Bearer ${token}` }), ...headers };
  const answer = await fetch(url + path, { ...options, headers: given, signal: AbortSignal.timeout(60_000) });
  if (!answer.ok) throw new Error(await answer.text());
  return (await answer.json()).events;
}

for (let last; ; ) {
  try {
    // The topic's newest event has its place in BullMQ's stream: nothing else knows better how far this has come.
    const [newest] = last ? [] : await hub(`/events?topic=${encodeURIComponent(topic)}&from=last:1`);
    last ??= { id: newest?.id ?? 'none', entry: newest ? JSON.parse(newest.data).entry : '0' };
    const [[, entries]] = await redis.xread('COUNT', 100, 'BLOCK', 0, 'STREAMS', `bull:${queue}:events`, last.entry);
    const events = entries.map(([entry, fields]) => {
      const data = Object.fromEntries(fields.flatMap((name, at) => (at % 2 ? [] : [[name, fields[at + 1]]])));
      return { topic, event: data.event, data: { ...data, entry } };
    });
    // The hub refuses a batch if another one came in between, such as one whose receipt was lost.
    const receipts = await hub('/publish', { method: 'POST', headers: { 'if-match': `"${last.id}"` }, body: JSON.stringify(events) });
    last = { id: receipts.at(-1).id, entry: entries.at(-1)[0] };
  } catch (error) {
    console.error(error.message, error.cause?.message ?? '');
    last = undefined;
    await sleep(1000);
  }
}
