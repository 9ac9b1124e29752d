// What the tests of a topic's page read of it, and of its topic.
import type { Tab } from './browser';
import type { Hub } from './hub';

export interface Row {
  name: string | null;
  data: string;
  id: string;
}

export const list = ({ page }: Tab) => page.getByRole('list', { name: 'Events' });

/** The events that are shown, from the top. */
export const rows = (tab: Tab): Promise<Row[]> =>
  tab.page.evaluate(() =>
    [...document.querySelectorAll('[aria-label=Events] > li > button')].map((row) => ({
      name: row.querySelector('.topic-event-name')?.textContent ?? null,
      data: row.querySelector('.topic-event-data')!.textContent!,
      id: row.querySelector('.topic-event-id')!.textContent!,
    })),
  );

export const data = async (tab: Tab): Promise<string[]> => (await rows(tab)).map((row) => row.data);

/** What came of the last publish. */
export const receipt = ({ page }: Tab) => page.getByRole('form', { name: 'Publish' }).getByRole('status');

/** Publishes `event 0`, `event 1`, … in one commit, and returns their ids. */
export async function publishMany(hub: Hub, topic: string, count: number, from = 0): Promise<string[]> {
  const events = Array.from({ length: count }, (_, n) => ({ topic, data: `event ${from + n}` }));
  const response = await hub.fetch('publish', { method: 'POST', body: JSON.stringify(events) });
  return ((await response.json()) as { events: { id: string }[] }).events.map(({ id }) => id);
}

/** The data of such events, from the newest to the oldest. */
export const numbered = (from: number, to: number): string[] => Array.from({ length: from - to + 1 }, (_, n) => `event ${from - n}`);

/** The topic as the hub describes it. */
export const state = async (hub: Hub, topic: string) => (await (await hub.fetch('topics/' + topic)).json()) as Record<string, unknown>;
