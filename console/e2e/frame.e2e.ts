// The frame: navigation, addresses, titles, the theme, the token.
import { createServer } from 'node:http';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Chromium, NARROW } from './support/browser';
import { staticTokens } from './support/credentials';
import { Hub } from './support/hub';

const ADMIN = 'admin-token-of-the-console-tests';
const READER = 'reader-token-of-the-console-tests';
const TOKENS = staticTokens([
  ['ops', ADMIN, { publish: ['**'], subscribe: ['**'], admin: true }],
  ['reader', READER, { subscribe: ['news'] }],
]);

let chromium: Chromium;
beforeAll(async () => {
  chromium = await Chromium.launch();
});
afterAll(async () => {
  await chromium[Symbol.asyncDispose]();
});

describe('an open hub', () => {
  it('has a view for each address, with its title; reload, back and a shared link work', async () => {
    await using hub = await Hub.start();
    await using tab = await chromium.open(hub.address);
    const { page } = tab;
    await expect.poll(() => page.title()).toBe('Overview · gapless');
    for (const name of ['Topics', 'Live', 'Streams', 'Overview']) {
      await page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name }).click();
      await expect.poll(() => page.title()).toBe(`${name} · gapless`);
      expect(page.url()).toBe(`${hub.address}#/${name.toLowerCase()}`);
      expect(await page.getByRole('link', { name, exact: true }).first().getAttribute('aria-current')).toBe('page');
    }
    await page.goBack();
    await expect.poll(() => page.title()).toBe('Streams · gapless');
    await page.reload();
    await expect.poll(() => page.title()).toBe('Streams · gapless');
    await using shared = await chromium.open(hub.address + '#/topics');
    await expect.poll(() => shared.page.title()).toBe('Topics · gapless');
  });

  it('offers runs only where the relay is on', async () => {
    await using hub = await Hub.start();
    await using relay = await Hub.start(['--relay', 'ollama']);
    for (const [address, shown] of [[hub.address, 0], [relay.address, 1]] as const) {
      await using tab = await chromium.open(address);
      await tab.page.getByRole('link', { name: 'Topics' }).waitFor();
      expect(await tab.page.getByRole('link', { name: 'Runs' }).count()).toBe(shown);
    }
  });

  it('keeps the theme, and paints it at once', async () => {
    await using hub = await Hub.start();
    await using tab = await chromium.open(hub.address, { colorScheme: 'light' });
    const { page } = tab;
    const paper = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    await page.getByLabel('Theme').selectOption('dark');
    expect(await paper()).toBe('rgb(21, 23, 26)');
    await page.reload();
    await page.getByLabel('Theme').waitFor();
    expect(await paper()).toBe('rgb(21, 23, 26)');
    await page.getByLabel('Theme').selectOption('system');
    expect(await paper()).toBe('rgb(251, 250, 247)');
  });

  it('sends no request anywhere else, and is small', async () => {
    await using hub = await Hub.start();
    await using tab = await chromium.open(hub.address);
    const { page } = tab;
    await page.getByRole('link', { name: 'Live' }).waitFor();
    const loaded = await page.evaluate(() =>
      (performance.getEntries() as PerformanceResourceTiming[])
        .filter(({ entryType }) => entryType === 'navigation' || entryType === 'resource')
        .map(({ name, transferSize }) => [name, transferSize] as const),
    );
    expect(loaded.filter(([name]) => !name.startsWith(hub.address))).toEqual([]);
    // Only the page's own files: the figures are a stream.
    const own = loaded.filter(([name]) => name === hub.address || name.includes('/console/'));
    expect(own.length).toBeGreaterThanOrEqual(3);
    expect(own.reduce((sum, [, size]) => sum + size, 0)).toBeLessThan(150 * 1024);
  });

  it('works below a path of a proxy', async () => {
    await using hub = await Hub.start();
    const proxy = createServer((from, to) => {
      if (!from.url!.startsWith('/hub/')) return void to.writeHead(404).end();
      const onward = request(hub.address + from.url!.slice('/hub/'.length), { method: from.method!, headers: from.headers }, (answer) => {
        to.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(to);
      });
      to.on('close', () => onward.destroy());
      onward.on('error', () => to.destroy());
      from.pipe(onward);
    });
    await new Promise<void>((bound) => proxy.listen(0, '127.0.0.1', bound));
    const { port } = proxy.address() as { port: number };
    try {
      await using tab = await chromium.open(`http://127.0.0.1:${port}/hub/`);
      await expect.poll(() => tab.page.title()).toBe('Overview · gapless');
      await tab.page.getByRole('link', { name: 'Topics' }).click();
      await expect.poll(() => tab.page.title()).toBe('Topics · gapless');
    } finally {
      proxy.closeAllConnections();
      proxy.close();
    }
  });
});

describe('a hub with credentials', () => {
  it('takes a token that stays in the tab, shows what it may do, and offers no more than that', async () => {
    await using hub = await Hub.start(['--access-tokens', TOKENS]);
    await using tab = await chromium.open(hub.address);
    const { page } = tab;
    const links = () => page.getByRole('navigation', { name: 'Views' }).getByRole('link').allInnerTexts();
    await expect.poll(() => page.title()).toBe('Live · gapless');
    expect(await links()).toEqual(['Topics', 'Live']);

    const give = async (token: string) => {
      await page.getByRole('textbox', { name: 'Token' }).fill(token);
      await page.getByRole('button', { name: 'Use it' }).click();
    };
    await page.getByRole('button', { name: 'Token' }).click();
    const dialog = page.getByRole('dialog', { name: 'Token' });
    await give('nonsense');
    await expect.poll(() => dialog.innerText()).toContain('static token');
    await give(READER);
    await expect.poll(() => dialog.innerText()).toContain('You are reader');
    expect(await dialog.innerText()).toContain('news');
    expect(await links()).toEqual(['Topics', 'Live']);
    await give(` ${ADMIN} `);
    await expect.poll(() => dialog.innerText()).toContain('You are ops');
    expect(await links()).toEqual(['Overview', 'Topics', 'Live', 'Streams']);
    expect(await page.getByRole('textbox', { name: 'Token' }).inputValue()).toBe('');

    const kept = () =>
      page.evaluate(() => [location.href + document.cookie + JSON.stringify({ ...localStorage }) + JSON.stringify(history.state), JSON.stringify({ ...sessionStorage })]);
    const [beyond, inTab] = await kept();
    expect(beyond).not.toContain(ADMIN);
    expect(inTab).toContain(ADMIN);
    expect(hub.logged).not.toContain(ADMIN);

    await page.reload();
    await expect.poll(links).toEqual(['Overview', 'Topics', 'Live', 'Streams']);
    await page.getByRole('button', { name: /^Token/ }).click();
    await page.getByRole('button', { name: 'Forget it' }).click();
    await expect.poll(links).toEqual(['Topics', 'Live']);
    expect((await kept())[1]).not.toContain(ADMIN);
  });

  it('has a dialog that fits and is accessible, by keyboard alone, too', async () => {
    await using hub = await Hub.start(['--access-tokens', TOKENS]);
    for (const colorScheme of ['light', 'dark'] as const) {
      await using tab = await chromium.open(hub.address, { viewport: NARROW, colorScheme });
      const { page } = tab;
      const button = page.getByRole('button', { name: 'Token' });
      await button.focus();
      await page.keyboard.press('Enter');
      await page.getByRole('dialog', { name: 'Token' }).waitFor();
      await page.keyboard.type(READER);
      await page.keyboard.press('Enter');
      await expect.poll(() => page.getByRole('dialog', { name: 'Token' }).innerText()).toContain('You are reader');
      expect(await tab.spills()).toEqual([]);
      expect(await tab.axe()).toEqual([]);
      await page.keyboard.press('Escape');
      expect(await page.getByRole('dialog').count()).toBe(0);
    }
  });
});
