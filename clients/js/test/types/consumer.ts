// Type-checked as a consumer's code, with the declarations of the package themselves, and never run.
import { type Item, type Receipt, publish, publishBatch, stream, subscribe } from 'gapless';
import { EventLog, type LogState, useEvents } from 'gapless/react';

/** A switch over the types of an item is complete, and each has its fields. */
export function told(item: Item): string | null {
  switch (item.type) {
    case 'event':
      return item.data;
    case 'gap':
      return item.resumesAt;
    case 'end':
      return item.lastId;
    case 'removed':
      return item.position;
  }
}

interface Progress {
  done: number;
}

export async function all(url: URL, progress: Progress, signal: AbortSignal): Promise<Receipt[]> {
  const one: Receipt = await publish(url, 't', progress, { event: 'progress', ifMatch: null, signal });
  // @ts-expect-error: an event needs data
  await publish(url, 't');
  // @ts-expect-error: a batch has no name of its own
  await publishBatch(url, [{ topic: 't', data: 1 }], { event: 'x' });

  for await (const item of subscribe(url, { topics: ['a', 'b/*'], from: 'earliest', signal })) told(item);
  const { done } = subscribe(url, { topics: 'a', onItem: async (item) => void told(item) });
  const end: 'ended' | 'aborted' = await done;
  // @ts-expect-error: with a callback there is nothing to iterate over
  for await (const item of subscribe(url, { topics: 'a', onItem: () => {} })) told(item as Item);
  // @ts-expect-error: a subscription needs topics
  subscribe(url, { from: end });

  await stream(url, 't').write([1, 2], { event: 'numbers' });
  return [one];
}

export function component(log: EventLog): LogState {
  useEvents({ url: '', topics: 't', limit: 10, token: async () => 'token' });
  return useEvents(log);
}
