// What a user of "Live" sees.
import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import { PATIENCE } from './hub';

export const list = (page: Page) => page.getByRole('grid', { name: 'Events' });

/** The rows in the page, in order: what a mark says; of an event its topic in a pattern, its name and its data. */
export async function rowTexts(page: Page): Promise<string[]> {
  return await list(page)
    .getByRole('row')
    .evaluateAll((rows) =>
      rows.map((row) => {
        const cells = [...row.querySelectorAll<HTMLElement>(':scope > [role=gridcell]')];
        const telling = cells.length === 1 ? cells : cells.slice(1, 2);
        return telling.flatMap((cell) => (cell.childElementCount ? [...cell.children].map((part) => part.textContent) : [cell.textContent])).join(' ');
      }),
    );
}

/** Without the lines between events. */
export const events = async (page: Page): Promise<string[]> => (await rowTexts(page)).filter((text) => !/^(Replay ended|Nothing was kept|Connection )/.test(text));

export const sees = (page: Page, wanted: string[]) => expect.poll(() => events(page), { timeout: PATIENCE }).toEqual(wanted);

export const says = (page: Page, text: string | RegExp) =>
  expect
    .poll(() => page.getByRole('status', { name: 'Stream state' }).textContent(), { timeout: PATIENCE })
    .toEqual(typeof text === 'string' ? expect.stringContaining(text) : expect.stringMatching(text));

/** Watches a topic by the form. `from`: a label of "From". */
export async function watch(page: Page, topic: string, from = 'the oldest kept event'): Promise<void> {
  await page.getByRole('textbox', { name: 'Topic or pattern' }).fill(topic);
  await page.getByRole('combobox', { name: 'From' }).selectOption({ label: from });
  await page.getByRole('button', { name: 'Watch', exact: true }).click();
}

export const words = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, at) => `${prefix} ${at}`);
