// Watching: the way to it, what is shown and how, by mouse and by keyboard.
import { expect, test } from 'vitest';
import { Chromium } from './support/browser';
import { Hub, PATIENCE } from './support/hub';
import { list, rowTexts, says, sees, watch, words } from './support/live';

const poll = <T>(value: () => T) => expect.poll(value, { timeout: PATIENCE });

test('from the first visit to the first event by clicks alone', async () => {
  await using hub = await Hub.start();
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(hub.address);
  const { page } = tab;
  await page.getByRole('link', { name: 'Live' }).click();
  await page.getByRole('button', { name: 'Watch', exact: true }).click();
  await says(page, 'Live');
  await page.getByRole('button', { name: 'Publish “Hello” to demo' }).click();
  await sees(page, ['Hello']);
  expect(await hub.kept('demo')).toEqual(['Hello']);
  expect(await page.title()).toBe('demo · Live · gapless');
  // The address is the view: a reload and a shared link show the same.
  expect(new URL(page.url()).hash).toBe('#/live?topic=demo&from=last%3A100');
  await page.reload();
  await sees(page, ['Hello']);
  expect(await page.title()).toBe('demo · Live · gapless');
});

test('without a topic it proposes those that the hub has', async () => {
  await using hub = await Hub.start();
  await hub.publish('orders/1', 'first');
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(hub.address + '#/live');
  await tab.page.getByRole('link', { name: 'orders/1 1 event' }).click();
  await sees(tab.page, ['first']);
});

test('the first version of the page had other addresses, and they work', async () => {
  await using hub = await Hub.start();
  await hub.publish('jobs/1', 'past');
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(hub.address + '#topic=jobs/1&from=earliest');
  await sees(tab.page, ['past']);
});

test('where it begins: each choice of From', async () => {
  await using hub = await Hub.start();
  const ids: string[] = [];
  for (const word of words('event', 5)) ids.push(await hub.publish('story', word));
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(hub.address + '#/live');
  const { page } = tab;
  await watch(page, 'story');
  await sees(page, words('event', 5));
  expect((await rowTexts(page)).at(-1)).toBe('Replay ended after 5 events; live from here');
  await watch(page, 'story', 'now on');
  await says(page, 'Live');
  await page.getByText('No event of story yet').waitFor();
  ids.push(await hub.publish('story', 'event 5'));
  await sees(page, ['event 5']);

  const from = page.getByRole('combobox', { name: 'From' });
  const go = page.getByRole('button', { name: 'Watch', exact: true });
  await from.selectOption('last');
  await page.getByLabel('How many').fill('2');
  await go.click();
  await sees(page, ['event 4', 'event 5']);
  await from.selectOption('id');
  await page.getByRole('textbox', { name: 'Id' }).fill(ids[2]!);
  await go.click();
  await sees(page, ['event 3', 'event 4', 'event 5']);
  await from.selectOption('since');
  await page.getByLabel('How long ago').fill('1h');
  await go.click();
  await sees(page, words('event', 6));
  await from.selectOption('time');
  await page.getByRole('textbox', { name: 'Time' }).fill('2020-01-01T00:00:00');
  await go.click();
  await sees(page, words('event', 6));
  await page.goBack();
  await expect.poll(() => from.inputValue()).toBe('since');
  await sees(page, words('event', 6));
});

test('a pattern shows topics and names, and a refused one says why', async () => {
  await using hub = await Hub.start();
  await hub.publish('jobs/1/log', 'hot', '&event=warning');
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(hub.address + '#/live?topic=jobs/*/log&from=earliest&view=text');
  const { page } = tab;
  await sees(page, ['jobs/1/log warning hot']);
  await watch(page, 'a//b');
  await says(page, /Refused: .*segment/);
  expect(await page.getByRole('alert').textContent()).toContain('segment');
});

test('names and text filter what is held, and say how much of it', async () => {
  await using hub = await Hub.start();
  await hub.publishAll(Array.from({ length: 3000 }, (_, at) => ({ topic: 'mixed', data: `Line ${at}`, event: at % 3 ? 'line' : 'step' })));
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(hub.address + '#/live?topic=mixed&from=earliest&view=text');
  const { page } = tab;
  const matches = page.getByRole('status', { name: 'Matches' });
  const with29 = Array.from({ length: 3000 }, (_, at) => at).filter((at) => `line ${at}`.includes('line 29'));
  expect(with29).toHaveLength(111);
  await page.getByRole('combobox', { name: 'Event name' }).selectOption('step');
  await poll(() => matches.textContent()).toBe('1,000 of 3,000 match');
  expect(await page.getByRole('combobox', { name: 'Event name' }).innerText()).toContain('line (2,000)');
  await page.getByRole('searchbox', { name: 'Filter by text' }).fill('LINE 29');
  await poll(() => matches.textContent()).toBe(`${with29.filter((at) => at % 3 === 0).length} of 3,000 match`);
  await page.getByRole('combobox', { name: 'Event name' }).selectOption({ label: 'All names' });
  await poll(() => matches.textContent()).toBe('111 of 3,000 match');
  await hub.publish('mixed', 'line 29 again');
  await poll(() => matches.textContent()).toBe('112 of 3,001 match');
  await page.getByRole('searchbox', { name: 'Filter by text' }).fill('$^(');
  await poll(() => matches.textContent()).toBe('0 of 3,001 match');
});

test('only rows in sight are in the page; it follows the end until the user leaves it', async () => {
  await using hub = await Hub.start();
  await hub.publishAll(words('line', 5000).map((data) => ({ topic: 'long', data })));
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(hub.address + '#/live?topic=long&from=earliest&view=text');
  const { page } = tab;
  await poll(async () => (await rowTexts(page)).at(-1)).toBe('Replay ended after 5,000 events; live from here');
  expect(await list(page).getByRole('row').count()).toBeLessThan(60);
  await list(page).hover();
  await page.mouse.wheel(0, -3000);
  await page.getByRole('button', { name: 'Jump to newest' }).waitFor();
  await expect.poll(async () => (await rowTexts(page)).at(-1)).toMatch(/^line 48/);
  const seen = await rowTexts(page);
  await hub.publish('long', 'the newest');
  await poll(() => page.getByText('5,001', { exact: true }).count()).toBe(1);
  expect(await rowTexts(page)).toEqual(seen);
  await page.getByRole('button', { name: 'Jump to newest' }).click();
  await poll(async () => (await rowTexts(page)).at(-1)).toBe('the newest');
  await hub.publish('long', 'one more');
  await poll(async () => (await rowTexts(page)).at(-1)).toBe('one more');
});

test('what is looked at stays, also when the store is full', async () => {
  await using hub = await Hub.start();
  for (let at = 0; at < 50_000; at += 10_000) {
    await hub.publishAll(Array.from({ length: 10_000 }, (_, more) => ({ topic: 'full', data: `line ${at + more}` })));
  }
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(hub.address + '#/live?topic=full&from=earliest&view=text');
  const { page } = tab;
  await page.getByText('1 earlier event is not shown').waitFor({ timeout: PATIENCE });
  await list(page).focus();
  await page.keyboard.press('Home');
  await poll(async () => (await rowTexts(page))[0]).toBe('line 1');
  const seen = await rowTexts(page);
  await hub.publishAll(words('more', 3000).map((data) => ({ topic: 'full', data })));
  await poll(() => page.locator('.live-figures dd').first().textContent()).toBe('53,000');
  await page.getByRole('button', { name: /^Resume [\d,]+ new/ }).waitFor();
  expect(await rowTexts(page)).toEqual(seen);
});

test('the keyboard alone: rows, details, and back', async () => {
  await using hub = await Hub.start();
  for (const word of words('event', 300)) await hub.publishAll([{ topic: 'keys', data: word }]);
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(hub.address + '#/live?topic=keys&from=earliest&view=text');
  const { page } = tab;
  await poll(async () => (await rowTexts(page)).at(-1)).toContain('Replay ended');
  await list(page).focus();
  const selected = () => list(page).locator('[aria-selected=true]').locator('.live-text').textContent();
  await page.keyboard.press('Home');
  await expect.poll(selected).toBe('event 0');
  await page.keyboard.press('ArrowDown');
  await expect.poll(selected).toBe('event 1');
  await page.keyboard.press('End');
  await expect.poll(selected).toBe('event 299');
  await page.keyboard.press('ArrowUp');
  await expect.poll(selected).toBe('event 298');
  await page.keyboard.press('Enter');
  const details = page.getByRole('region', { name: 'Event details' });
  await details.getByText('event 298').waitFor();
  await page.keyboard.press('ArrowUp');
  await details.getByText('event 297').waitFor();
  await page.keyboard.press('Escape');
  await poll(() => details.count()).toBe(0);
  expect(await list(page).evaluate((element) => element === document.activeElement)).toBe(true);
});

test('an event in detail, with a command that reads it again', async () => {
  await using hub = await Hub.start();
  const data = '{"order":12345678901234567890,"lines":[1,2]}';
  const id = await hub.publish('orders', data, '&event=created');
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(hub.address + '#/live?topic=orders&from=earliest', { permissions: ['clipboard-read', 'clipboard-write'] });
  const { page } = tab;
  // By itself: it is JSON.
  await poll(() => list(page).getByRole('row').first().innerText()).toContain('"order": 12345678901234567890,');
  await list(page).getByRole('row').first().click();
  const details = page.getByRole('region', { name: 'Event details' });
  expect(await details.innerText()).toContain(id);
  const pasted = () => page.evaluate(() => navigator.clipboard.readText());
  await details.getByRole('button', { name: 'Copy data' }).click();
  await expect.poll(pasted).toBe(data);
  await details.getByRole('button', { name: 'Copy id' }).click();
  await expect.poll(pasted).toBe(id);
  await details.getByRole('button', { name: 'Copy curl' }).click();
  await expect.poll(pasted).toMatch(/^curl /);
  const address = /'(http[^']+)'/.exec(await pasted())![1]!;
  const page1 = (await (await fetch(address, { headers: { Accept: 'application/json' } })).json()) as { events: { id: string; data: string }[] };
  expect(page1.events.map((event) => [event.id, event.data])).toEqual([[id, data]]);
});

test('a long JSON value is cut, and shown whole when asked for', async () => {
  await using hub = await Hub.start();
  await hub.publish('json', JSON.stringify(Array.from({ length: 100 }, (_, at) => at)));
  await hub.publish('json', '{"after":true,"it":1,"is":2}');
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(hub.address + '#/live?topic=json&from=earliest&view=json');
  const { page } = tab;
  const first = list(page).getByRole('row').first();
  await poll(() => first.innerText()).toContain('Show all 102 lines');
  const second = list(page).getByRole('row').nth(1);
  expect((await second.boundingBox())!.y).toBeGreaterThanOrEqual((await first.boundingBox())!.y + (await first.boundingBox())!.height - 1);
  await page.getByRole('button', { name: 'Show all 102 lines' }).click();
  await poll(() => first.innerText()).toContain('99');
  // Each of its lines has room.
  await poll(async () => (await first.boundingBox())!.height).toBeGreaterThan(102 * 15);
  await page.getByRole('button', { name: 'Show 16 lines' }).click();
  await poll(() => first.innerText()).not.toContain('99');
});

test('a pause shows nothing new, counts it, and loses nothing', async () => {
  await using hub = await Hub.start();
  await hub.publish('story', 'before');
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(hub.address + '#/live?topic=story&from=earliest&view=text');
  const { page } = tab;
  await sees(page, ['before']);
  await page.getByRole('button', { name: 'Pause' }).click();
  await hub.publishAll(words('new', 1234).map((data) => ({ topic: 'story', data })));
  await page.getByRole('button', { name: 'Resume 1,234 new' }).waitFor();
  await sees(page, ['before']);
  await page.getByRole('button', { name: /^Resume/ }).click();
  await poll(async () => (await rowTexts(page)).at(-1)).toBe('new 1233');
});

test('the display is chosen by what comes, and by hand', async () => {
  await using hub = await Hub.start();
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(hub.address + '#/live');
  const { page } = tab;
  await hub.publish('plain', 'a line');
  await hub.publish('tree', '{"a":1,"b":2,"c":3}');
  await hub.publish('answer/tokens', 'Hel', '&event=token');
  const auto = page.getByRole('button', { name: /^Auto/ });
  for (const [topic, display] of [['plain', 'Text'], ['tree', 'Pretty JSON'], ['answer/tokens', 'By kind']] as const) {
    await watch(page, topic);
    await poll(() => auto.getAttribute('aria-description')).toBe(display);
  }
  await page.getByRole('button', { name: 'Text', exact: true }).click();
  await sees(page, ['token Hel']);
  expect(page.url()).toContain('view=text');
});
