// Live on a phone, and the names by which everything in it is found.
import type { Locator, Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { Chromium, NARROW, WIDE } from './support/browser';
import { Hub } from './support/hub';
import { events, list } from './support/live';

const FROMS = ['earliest', 'now', 'last:100', 'since:10m', 'since:2026-11-26T20:00:00Z', 'aaaaaaaa-1'];

test('on a phone the list of events begins in the upper half, and each choice of From fits', async () => {
  await using hub = await Hub.start();
  await hub.publish('orders', 'first');
  await using chromium = await Chromium.launch();
  for (const viewport of [NARROW, { width: 360, height: 844 }]) {
    await using tab = await chromium.open(hub.address + '#/live?topic=orders&view=text', { viewport });
    await list(tab.page).waitFor();
    // A narrower one needs a line more.
    const { y, height } = (await list(tab.page).boundingBox())!;
    expect(y).toBeLessThan(viewport === NARROW ? 422 : 460);
    // The newest events are at its end.
    expect(y + height).toBeLessThanOrEqual(viewport.height);
    for (const from of FROMS) {
      await tab.go(`#/live?topic=orders&view=text&from=${from}`);
      await tab.page.getByRole('button', { name: 'Cut the connection' }).waitFor();
      expect(await tab.spills(), from).toEqual([]);
    }
  }
});

/** What must be one element on each view, whatever else is there: found by a part of the name, as Playwright does. */
const links = (page: Page): Locator[] => ['Overview', 'Topics', 'Live', 'Streams'].map((name) => page.getByRole('link', { name }));
const one = async (what: string, locators: Locator[]) => {
  for (const locator of locators) expect(await locator.count(), `${what}: ${locator}`).toBe(1);
};

test('each control is found by its name alone', async () => {
  await using hub = await Hub.start();
  await hub.publishAll(Array.from({ length: 20 }, (_, n) => ({ topic: `shop/${n}`, data: n })));
  await using chromium = await Chromium.launch();
  await using other = await chromium.open(hub.address + '#/live?topic=shop/1');
  await events(other.page);
  for (const viewport of [WIDE, NARROW]) {
    await using tab = await chromium.open(hub.address, { viewport });
    const { page } = tab;
    for (const [fragment, heading] of [['overview', 'Overview'], ['topics', 'Topics'], ['topics/shop/1', 'shop/1'], ['streams', 'Streams'], ['live', 'See events as they come']]) {
      await tab.go('#/' + fragment);
      await page.getByRole('heading', { name: heading!, exact: true }).waitFor();
      if (fragment === 'overview') await page.getByRole('link', { name: '1 subscriber of shop/1' }).waitFor();
      if (fragment === 'live') await page.getByRole('link', { name: 'shop/1', exact: false }).first().waitFor();
      await one(fragment!, links(page));
    }
    await page.getByLabel('Topic or pattern').fill('shop/*');
    await page.getByLabel('From').selectOption('earliest');
    await page.getByRole('button', { name: 'Watch' }).click();
    await expect.poll(async () => (await events(page)).length).toBeGreaterThan(5);
    const names = ['Watch', 'Pause', 'Cut the connection', 'Auto', 'Text', 'Pretty JSON', 'By kind'];
    const controls = [
      ...links(page),
      page.getByLabel('Topic or pattern'),
      page.getByRole('textbox', { name: 'Topic or pattern' }),
      page.getByLabel('From'),
      page.getByLabel('From', { exact: true }),
      page.getByLabel('Theme', { exact: true }),
      ...names.map((name) => page.getByRole('button', { name })),
    ];
    await one('watched', controls);
    await page.getByRole('button', { name: 'Cut the connection' }).click();
    await page.getByText('missed 0, twice 0').waitFor();
    await one('after a cut', controls);
  }
});

test('the five views fit beside each other on a narrow phone', async () => {
  await using hub = await Hub.start(['--relay', 'ollama']);
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(hub.address + '#/runs', { viewport: { width: 360, height: 780 } });
  const runs = tab.page.getByRole('link', { name: 'Runs' });
  await runs.waitFor();
  const nav = tab.page.getByRole('navigation', { name: 'Views' });
  expect(await nav.evaluate((element) => element.scrollWidth - element.clientWidth)).toBe(0);
});
