// Five thousand events a second: the page shows them, counts them all, and does not grow.
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { Chromium, type Tab } from './support/browser';
import { Hub, PATIENCE, until } from './support/hub';
import { list, rowTexts, says } from './support/live';

const RATE = 5000;
/** Requests a second: each is one commit. */
const BATCHES = 20;
/** Seconds of load. GAPLESS_LIVE_LOAD=60 for a whole minute. */
const SECONDS = Number(process.env.GAPLESS_LIVE_LOAD ?? 24);
/** As MAX_ITEMS in live-store.ts. */
const HELD = 50_000;

/** Publishes at the rate for so long, and returns how many events it were. It catches up when it was late. */
async function load(hub: Hub, seconds: number, from = 0): Promise<number> {
  const start = Date.now();
  let sent = from;
  while (Date.now() - start < seconds * 1000) {
    const due = from + Math.floor(((Date.now() - start) / 1000) * RATE);
    if (due > sent) {
      const batch = Array.from({ length: Math.min(due - sent, RATE) }, (_, at) => ({
        topic: 'firehose',
        event: 'reading',
        data: { sequence: sent + at, sensor: `sensor-${(sent + at) % 97}`, celsius: 20 + ((sent + at) % 100) / 10, note: 'a line of the length that such lines have' },
      }));
      await hub.publishAll(batch);
      sent += batch.length;
    }
    await new Promise((wait) => setTimeout(wait, 1000 / BATCHES));
  }
  return sent;
}

const heap = async (tab: Tab): Promise<number> => {
  const session = await tab.context.newCDPSession(tab.page);
  // What is garbage does not count.
  await session.send('HeapProfiler.collectGarbage');
  await session.detach();
  return await tab.page.evaluate(() => (performance as unknown as { memory: { usedJSHeapSize: number } }).memory.usedJSHeapSize);
};

const countFrames = (page: Page) =>
  page.evaluate(() => {
    const seen = ((window as unknown as { seen: object }).seen = { frames: 0, longest: 0, last: performance.now() });
    const frame = (now: number) => {
      seen.frames += 1;
      seen.longest = Math.max(seen.longest, now - seen.last);
      seen.last = now;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });

// The other display for half of the time.
test.each([
  ['text', SECONDS],
  ['json', SECONDS / 2],
] as const)('5,000 events a second, as %s', { timeout: (SECONDS + 60) * 1000 }, async (view, seconds) => {
  await using hub = await Hub.start();
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(`${hub.address}#/live?topic=firehose&from=now&view=${view}`);
  const { page } = tab;
  await says(page, 'Live');
  await countFrames(page);
  const half = await load(hub, seconds / 2);
  const before = await heap(tab);
  const sent = await load(hub, seconds / 2, half);
  const { frames, longest } = await page.evaluate(() => (window as unknown as { seen: { frames: number; longest: number } }).seen);
  const total = page.locator('.live-figures dd').first();
  await expect.poll(() => total.textContent(), { timeout: PATIENCE }).toBe(sent.toLocaleString('en'));
  const after = await heap(tab);
  console.log(
    `${view}: ${sent} events in ${seconds} s, ${(frames / seconds).toFixed(1)} frames a second, longest ${longest.toFixed(0)} ms, ` +
      `heap ${(before / 2 ** 20).toFixed(1)} MiB after ${seconds / 2} s, ${(after / 2 ** 20).toFixed(1)} MiB after ${seconds} s`,
  );
  expect(frames).toBeGreaterThan(seconds);
  // The store was full at half of the time.
  if (half > HELD) expect(after).toBeLessThan(before * 1.5);
  // The newest are shown, the others counted.
  await expect.poll(async () => (await rowTexts(page)).at(-1), { timeout: PATIENCE }).toContain(view === 'text' ? `"sequence":${sent - 1},` : 'reading');
  expect(await list(page).getByRole('row').count()).toBeLessThan(80);
  const shown = Number(await list(page).getAttribute('aria-rowcount'));
  expect(shown).toBeLessThanOrEqual(HELD);
  const skipped = await page.getByText(/earlier events are not shown/).textContent();
  expect(Number(skipped!.replace(/\D/g, ''))).toBe(sent - HELD);
});

test('what left the page can be read back', { timeout: 120_000 }, async () => {
  await using hub = await Hub.start();
  const many = HELD + 1200;
  for (let at = 0; at < many; at += 5000) {
    await hub.publishAll(Array.from({ length: Math.min(5000, many - at) }, (_, more) => ({ topic: 'firehose', data: `line ${at + more}` })));
  }
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(`${hub.address}#/live?topic=firehose&from=earliest&view=text`);
  const { page } = tab;
  await until('all came', async () => (await page.locator('.live-figures dd').first().textContent()) === many.toLocaleString('en'));
  // With the line that says where replay ended.
  await page.getByText('1,201 earlier events are not shown').waitFor();
  await page.getByRole('button', { name: 'Read back' }).click();
  await page.getByText('701 earlier events are not shown').waitFor();
  // What was read back stays, so the list is paused.
  await page.getByRole('button', { name: /^Resume/ }).waitFor();
  await list(page).focus();
  await page.keyboard.press('Home');
  await expect.poll(async () => (await rowTexts(page))[0], { timeout: PATIENCE }).toBe('line 701');
  await page.getByRole('button', { name: 'Read back' }).click();
  await page.getByText('201 earlier events are not shown').waitFor();
  await page.getByRole('button', { name: 'Read back' }).click();
  await page.getByText('From the oldest kept event').waitFor();
  await page.keyboard.press('Home');
  await list(page).focus();
  await page.keyboard.press('Home');
  await expect.poll(async () => (await rowTexts(page))[0], { timeout: PATIENCE }).toBe('line 0');
  await page.getByRole('button', { name: /^Resume/ }).click();
  await page.getByText('1,201 earlier events are not shown').waitFor();
});
