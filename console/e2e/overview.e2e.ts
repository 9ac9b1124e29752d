// The hub at a glance: its figures, what needs attention, and the first steps.
import { connect } from 'node:net';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Chromium, NARROW, WIDE } from './support/browser';
import { staticTokens } from './support/credentials';
import { Hub, until } from './support/hub';

const ADMIN = 'admin-token-of-the-overview-tests';
const READER = 'reader-token-of-the-overview-tests';
const TOKENS = staticTokens([
  ['ops', ADMIN, { publish: ['**'], subscribe: ['**'], admin: true }],
  ['reader', READER, { subscribe: ['**'] }],
]);

let chromium: Chromium;
beforeAll(async () => {
  chromium = await Chromium.launch();
});
afterAll(async () => {
  await chromium[Symbol.asyncDispose]();
});

const attention = (page: Page) => page.getByRole('region', { name: 'Needs attention' });
const figure = (page: Page, name: string) => page.getByRole('region', { name, exact: true });

describe('the first steps', () => {
  it('teach a hub without events, and are gone at the next visit', async () => {
    await using hub = await Hub.start();
    await using tab = await chromium.open(hub.address + '#/overview');
    const { page } = tab;
    const start = page.getByRole('region', { name: 'Start here' });
    expect(await start.locator('pre').textContent()).toBe(`curl -d Hello '${hub.address}publish?topic=demo'`);
    await start.getByRole('button', { name: 'Copy' }).waitFor();
    expect(await start.getByRole('link', { name: 'Watch “demo”' }).getAttribute('href')).toBe('#/live?topic=demo');
    await hub.publish('demo', 'Hello');
    await start.getByText('It is here, and on disk.').waitFor();
    await start.getByRole('button', { name: 'Hide' }).click();
    expect(await start.count()).toBe(0);
    await page.reload();
    await figure(page, 'Events').waitFor();
    expect(await start.count()).toBe(0);
  });
});

describe('the figures', () => {
  it('go on by themselves, with units, and are in words what the charts show', async () => {
    await using hub = await Hub.start();
    await using tab = await chromium.open(hub.address + '#/overview');
    const { page } = tab;
    await figure(page, 'Events').getByText('0 in total').first().waitFor();
    for (let sent = 0; sent < 30; sent++) await hub.publish('jobs/1', 'x'.repeat(100));
    await figure(page, 'Events').getByText('30 in total').waitFor();
    await figure(page, 'Bytes').getByText('2.93 KiB in total').waitFor();
    const chart = figure(page, 'Events').getByRole('img');
    await expect.poll(() => chart.getAttribute('aria-label'), { timeout: 30_000 }).toMatch(
      /^Events, last 15 minutes: in now [\d.,]+ \/s, lowest 0 \/s, highest [1-9][\d.,]* \/s; out now 0 \/s, lowest 0 \/s, highest 0 \/s\.$/,
    );
    expect(await figure(page, 'Disk').getByText(/^\d+ % of [\d.,]+ [GTP]iB$/).count()).toBe(1);
    const busiest = page.getByRole('region', { name: 'Busiest topics' });
    expect(await busiest.getByRole('link', { name: 'jobs/1', exact: true }).getAttribute('href')).toBe('#/topics/jobs/1');
    expect(await busiest.getByRole('link', { name: 'Watch jobs/1' }).getAttribute('href')).toBe('#/live?topic=jobs%2F1');
  });

  it('are of the last 15 minutes also for a page that has just come', async () => {
    await using hub = await Hub.start();
    for (let sent = 0; sent < 30; sent++) await hub.publish('jobs/1', 'x');
    await until('the hub has a history of it', async () => {
      const { events_in } = (await (await hub.fetch('admin/history')).json()) as { events_in: number[] };
      return events_in.length >= 2 && events_in.some((rate) => rate > 0);
    });
    await using tab = await chromium.open(hub.address + '#/overview');
    const chart = figure(tab.page, 'Events').getByRole('img');
    // Its own first sample would take five seconds.
    await expect.poll(() => chart.getAttribute('aria-label'), { timeout: 4000 }).toMatch(/highest (?!0 )/);
    await expect.poll(() => figure(tab.page, 'Commit latency').getByRole('img').getAttribute('aria-label')).toMatch(/p99 now [\d.]+ ms/);
  });

  it('are painted anew in the colours of another theme', async () => {
    await using hub = await Hub.start();
    await using tab = await chromium.open(hub.address + '#/overview', { colorScheme: 'light' });
    const { page } = tab;
    await figure(page, 'Disk').getByText(/free .* – /).waitFor();
    const painted = (red: number, green: number, blue: number) =>
      page.evaluate(
        ([red, green, blue]) =>
          [...document.querySelectorAll('canvas')].some((canvas) => {
            const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
            for (let at = 0; at < data.length; at += 4) {
              if (data[at] === red && data[at + 1] === green && data[at + 2] === blue && data[at + 3] === 255) return true;
            }
            return false;
          }),
        [red, green, blue] as const,
      );
    // The lines of the axes: --line.
    await expect.poll(() => painted(0xe6, 0xe3, 0xdc)).toBe(true);
    await page.getByLabel('Theme').selectOption('dark');
    await expect.poll(() => painted(0x2a, 0x2d, 0x33)).toBe(true);
    expect(await painted(0xe6, 0xe3, 0xdc)).toBe(false);
  });

  it('show a moment under the pointer, the same in all charts', async () => {
    await using hub = await Hub.start();
    await using tab = await chromium.open(hub.address + '#/overview');
    const { page } = tab;
    await figure(page, 'Disk').getByText(/free .* – /).waitFor();
    await figure(page, 'Events').getByRole('img').hover();
    await figure(page, 'Events').getByText(/^\d\d:\d\d:\d\d$/).waitFor();
    await figure(page, 'Disk').getByText(/^free [\d.,]+ GiB$/).waitFor();
    await page.getByRole('heading', { name: 'Overview' }).hover();
    await figure(page, 'Disk').getByText(/free .* – /).waitFor();
  });

  it('end with the view', async () => {
    await using hub = await Hub.start();
    await using tab = await chromium.open(hub.address + '#/overview');
    const ended: string[] = [];
    tab.page.on('requestfailed', (request) => ended.push(new URL(request.url()).pathname));
    await figure(tab.page, 'Events').waitFor();
    await tab.go('#/topics');
    await expect.poll(() => ended).toContain('/admin/stats');
  });

  it('are not offered to those who may not operate', async () => {
    await using hub = await Hub.start(['--access-tokens', TOKENS]);
    await using tab = await chromium.open(hub.address + '#/overview');
    const { page } = tab;
    await page.evaluate((token) => sessionStorage.setItem('gapless.token', token), READER);
    const asked: string[] = [];
    page.on('request', (request) => asked.push(new URL(request.url()).pathname));
    await page.reload();
    await page.getByText("The hub's figures are not shown here").waitFor();
    expect(asked.filter((path) => path.startsWith('/admin'))).toEqual([]);
  });

  it('have the holders of tokens, each with a link to its streams; and the relay, where it is on', async () => {
    await using hub = await Hub.start(['--access-tokens', TOKENS, '--relay', 'ollama']);
    await hub.publish('a', 'x', '', { Authorization: `Bearer ${ADMIN}` });
    await using tab = await chromium.open(hub.address + '#/overview');
    await tab.page.evaluate((token) => sessionStorage.setItem('gapless.token', token), ADMIN);
    await tab.page.reload();
    const holders = tab.page.getByRole('region', { name: 'Busiest holders' });
    expect(await holders.getByRole('link', { name: 'ops' }).getAttribute('href')).toBe('#/streams?holder=ops');
    await tab.page.getByRole('region', { name: 'Relay' }).waitFor();
    await using other = await Hub.start();
    await using open = await chromium.open(other.address + '#/overview');
    await figure(open.page, 'Events').waitFor();
    expect(await open.page.getByRole('region', { name: 'Relay' }).count()).toBe(0);
  });
});

describe('what needs attention', () => {
  it('is nothing as a rule, and refusals when there are many, with a link to what helps', async () => {
    await using hub = await Hub.start();
    await using tab = await chromium.open(hub.address + '#/overview');
    const { page } = tab;
    await expectCalm(page);
    for (let sent = 0; sent < 12; sent++) await hub.fetch('publish?topic=a//b', { method: 'POST', body: 'x' });
    const item = attention(page).getByRole('listitem').filter({ hasText: /^12 requests were refused in the last .*: topic-invalid\./ });
    const target = (await item.getByRole('link', { name: 'What topic-invalid means' }).getAttribute('href'))!;
    const [document, anchor] = target.split('#');
    expect(await (await hub.fetch(document!)).text()).toContain(`id="${anchor}"`);
    expect(await tab.axe()).toEqual([]);
  });

  it('are readers that were cut because they do not read, also for a page that comes later', async () => {
    await using hub = await Hub.start(['--stream-write-timeout', '1s']);
    const deaf = connect(hub.port, '127.0.0.1');
    deaf.on('error', () => {});
    deaf.pause();
    deaf.write('GET /events?topic=films HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    const figures = async () => (await (await hub.fetch('admin/stats')).json()) as { subscribers: number; slow_readers_cut_total: number };
    await until('the stream is open', async () => (await figures()).subscribers === 1);
    await using early = await chromium.open(hub.address + '#/overview');
    await attention(early.page).waitFor();
    // More than the buffers of its socket hold.
    for (let sent = 0; sent < 16; sent++) await hub.publish('films', 'x'.repeat(1024 * 1024));
    await until('it was cut', async () => (await figures()).slow_readers_cut_total === 1);
    const item = (page: Page) => attention(page).getByRole('listitem').filter({ hasText: /^1 reader cut in the last .*, because they took no bytes/ });
    await item(early.page).waitFor();
    expect(await item(early.page).getByRole('link').getAttribute('href')).toBe('docs/SCALING.md#what-gives-way-first');
    await until('the history has it', async () => ((await (await hub.fetch('admin/history')).json()) as { cut: number[] }).cut.includes(1));
    await using late = await chromium.open(hub.address + '#/overview');
    await item(late.page).waitFor();
    deaf.destroy();
  });

  it('is a full disk, in words', async () => {
    await using hub = await Hub.start(['--store-reserve-bytes', '1TiB']);
    await using tab = await chromium.open(hub.address + '#/overview');
    const item = attention(tab.page).getByRole('listitem').filter({ hasText: /^Publishes are refused: .*disk/i });
    await item.waitFor();
    expect(await item.getByRole('link').getAttribute('href')).toBe('docs/OPERATIONS.md#storage-full');
    await tab.page.getByText('Not ready', { exact: true }).waitFor();
  });

  it('is that the hub has gone, and that it was started again', async () => {
    await using hub = await Hub.start();
    await using tab = await chromium.open(hub.address + '#/overview');
    const { page } = tab;
    // Older than a process that has just begun: else a restart cannot be told from the time it took.
    await page.getByText(/up [3-9] s/).waitFor();
    await hub.kill();
    await attention(page).getByText(/^No figures since \d+ s/).waitFor();
    await page.getByText('No figures', { exact: true }).waitFor();
    expect(await tab.axe()).toEqual([]);
    await hub.again();
    // Or it has connected by itself meanwhile.
    await attention(page).getByRole('button', { name: 'Connect now' }).click({ timeout: 2000 }).catch(() => undefined);
    await attention(page).getByText(/^The hub was started again .* ago/).waitFor();
    await page.getByText('Ready', { exact: true }).waitFor();
  });
});

async function expectCalm(page: Page) {
  await attention(page).waitFor();
  // The disk of the machine that runs the tests may be nearly full, which is no business of theirs.
  await expect.poll(async () => (await attention(page).innerText()).replace(/^Disk: .*\n.*$/m, 'Nothing needs attention')).toContain('Nothing needs attention');
}

it('is right at every width, in both themes, for axe, too', async () => {
  await using hub = await Hub.start();
  await hub.publishAll(Array.from({ length: 20 }, (_, at) => ({ topic: `a-topic-with-a-long-name/${'x'.repeat(120)}/${at}`, data: 'x' })));
  for (const colorScheme of ['light', 'dark'] as const) {
    await using tab = await chromium.open(hub.address + '#/overview', { colorScheme });
    await tab.page.getByRole('region', { name: 'Busiest topics' }).getByRole('link').first().waitFor();
    for (const size of [NARROW, { width: 360, height: 740 }, WIDE, { width: 1600, height: 900 }]) {
      await tab.page.setViewportSize(size);
      expect(await tab.spills()).toEqual([]);
      expect(await tab.axe()).toEqual([]);
    }
  }
});
