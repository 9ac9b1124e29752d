// Who is connected, and ending streams.
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Chromium, NARROW, type Tab, WIDE } from './support/browser';
import { staticTokens } from './support/credentials';
import { Hub, until } from './support/hub';

const TOKEN = (holder: string) => `token-of-${holder}-in-the-streams-tests`;
const ALL = ['**'];
const TOKENS = staticTokens(['ops', 'ann', 'bob'].map((name) => [name, TOKEN(name), { publish: ALL, subscribe: ALL, admin: name === 'ops' }]));

let chromium: Chromium;
beforeAll(async () => {
  chromium = await Chromium.launch();
});
afterAll(async () => {
  await chromium[Symbol.asyncDispose]();
});

/** A client of the hub: what it has received, and whether the hub has ended its stream. */
class Client {
  received = '';
  ended = false;
  private stop = new AbortController();
  private constructor() {}

  static async open(hub: Hub, query: string, holder?: string): Promise<Client> {
    const client = new Client();
    const headers = holder ? { Authorization: `Bearer ${TOKEN(holder)}` } : {};
    const response = await fetch(`${hub.address}events?${query}`, { headers, signal: client.stop.signal });
    void client.read(response).catch(() => {});
    await until('the stream has begun', () => client.received !== '');
    return client;
  }

  private async read(response: Response) {
    const decoder = new TextDecoder();
    for await (const chunk of response.body!) this.received += decoder.decode(chunk as Uint8Array, { stream: true });
    this.ended = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop.abort();
  }
}

const rows = (page: Page) => page.getByRole('row').filter({ has: page.getByRole('button', { name: 'End' }) });

async function signedIn(address: string, holder = 'ops'): Promise<Tab> {
  const tab = await chromium.open(address);
  await tab.page.evaluate((token) => sessionStorage.setItem('gapless.token', token), TOKEN(holder));
  await tab.page.reload();
  return tab;
}

describe('the list', () => {
  it('teaches when nobody is connected, and shows who comes', async () => {
    await using hub = await Hub.start();
    await using tab = await chromium.open(hub.address + '#/streams');
    const { page } = tab;
    await page.getByText('Nobody is connected').waitFor();
    expect(await page.locator('pre').textContent()).toBe(`curl -N '${hub.address}events?topic=demo'`);
    await using client = await Client.open(hub, 'topic=demo&topic=jobs/*&format=json');
    const row = rows(page);
    await row.waitFor();
    const text = await row.innerText();
    for (const word of ['127.0.0.1', 'demo', 'jobs/*', 'SSE, envelopes', 'live', '0 events']) expect(text).toContain(word);
    expect(await row.getByRole('link', { name: 'demo' }).getAttribute('href')).toBe('#/topics/demo');
    await hub.publish('demo', 'x'.repeat(3000));
    await expect.poll(() => row.innerText(), { timeout: 15_000 }).toMatch(/1 event, 3(\.\d+)? KiB/);
    expect(client.ended).toBe(false);
  });

  it('is filtered and sorted by the hub, and its address shows the same', async () => {
    await using hub = await Hub.start(['--access-tokens', TOKENS]);
    await using _ann = await Client.open(hub, 'topic=a', 'ann');
    await using _bob = await Client.open(hub, 'topic=b', 'bob');
    await using _two = await Client.open(hub, 'topic=b&topic=c/**', 'bob');
    await hub.publish('b', 'x'.repeat(2000), '', { Authorization: `Bearer ${TOKEN('ann')}` });
    await using tab = await signedIn(hub.address + '#/streams');
    const { page } = tab;
    await page.getByText('3 open').waitFor();
    expect(await rows(page).count()).toBe(3);
    expect(await rows(page).first().innerText()).toContain('ann');
    await page.getByRole('link', { name: 'Sent' }).click();
    await expect.poll(() => page.url()).toBe(`${hub.address}#/streams?sort=sent_bytes`);
    await expect.poll(() => rows(page).first().innerText()).toContain('bob');
    expect(await page.getByRole('columnheader', { name: 'Sent' }).getAttribute('aria-sort')).toBe('descending');
    await rows(page).last().getByRole('link', { name: 'ann' }).click();
    await page.getByText('1 match').waitFor();
    await page.getByLabel('Holder').fill('bob');
    await page.getByLabel('Topic or pattern').fill('c/x');
    await page.getByRole('button', { name: 'Filter' }).click();
    await expect.poll(() => rows(page).filter({ hasText: 'c/**' }).count()).toBe(1);
    expect(await rows(page).count()).toBe(1);
    await page.reload();
    await page.getByText('1 match').waitFor();
    expect(await page.getByLabel('Topic or pattern').inputValue()).toBe('c/x');
    await page.goBack();
    await expect.poll(() => rows(page).first().innerText()).toContain('ann');
    await page.getByLabel('Topic or pattern').fill('/');
    await page.getByRole('button', { name: 'Filter' }).click();
    await page.getByRole('alert').waitFor();
    await page.getByRole('link', { name: 'Show all' }).click();
    await page.getByText('3 open').waitFor();
    await tab.go('#/streams?holder=nobody');
    await page.getByText('No open stream is meant by this').waitFor();
  });

  it('has pages', async () => {
    await using hub = await Hub.start();
    const clients = await Promise.all(Array.from({ length: 104 }, () => Client.open(hub, 'topic=demo')));
    await using tab = await chromium.open(hub.address + '#/streams');
    const { page } = tab;
    await page.getByText('104 open').waitFor();
    expect(await rows(page).count()).toBe(100);
    await page.getByRole('link', { name: 'Next page' }).click();
    await expect.poll(() => rows(page).count()).toBe(4);
    expect(await page.getByRole('link', { name: 'Next page' }).count()).toBe(0);
    await page.getByRole('link', { name: 'First page' }).click();
    await expect.poll(() => rows(page).count()).toBe(100);
    for (const client of clients) await client[Symbol.asyncDispose]();
  });

  it('stands still under the pointer, and is read again by itself without it', async () => {
    await using hub = await Hub.start();
    await using _one = await Client.open(hub, 'topic=demo');
    await using tab = await chromium.open(hub.address + '#/streams');
    const { page } = tab;
    await rows(page).first().hover();
    await page.getByText(/^Paused while you are in the list/).waitFor();
    await using _two = await Client.open(hub, 'topic=demo');
    // Twice the time after which it would have been read again.
    await page.getByText(/read 1\d s ago/).waitFor();
    expect(await rows(page).count()).toBe(1);
    await page.getByRole('heading', { name: 'Streams' }).hover();
    await expect.poll(() => rows(page).count(), { timeout: 15_000 }).toBe(2);
    await using _three = await Client.open(hub, 'topic=demo');
    await rows(page).first().getByRole('button', { name: 'End' }).focus();
    await page.keyboard.press('Shift+Tab');
    await page.getByText(/^Paused while you are in the list/).waitFor();
    await page.getByRole('button', { name: 'Refresh' }).click();
    await expect.poll(() => rows(page).count()).toBe(3);
  });

  it('is not offered to those who may not operate', async () => {
    await using hub = await Hub.start(['--access-tokens', TOKENS]);
    await using tab = await signedIn(hub.address + '#/streams', 'ann');
    await tab.page.getByText('The open streams are not shown here').waitFor();
  });
});

describe('ending', () => {
  it('says what happens, and ends one stream: its client comes back and has missed nothing', async () => {
    await using hub = await Hub.start(['--stream-retry', '100ms']);
    await using client = await Client.open(hub, 'topic=demo');
    await using watching = await chromium.open(hub.address + '#/streams');
    // A real client that reconnects by itself.
    await watching.page.evaluate((address) => {
      const heard: string[] = ((globalThis as unknown as { heard: string[] }).heard = []);
      const source = new EventSource(`${address}events?topic=demo`);
      source.onmessage = ({ data }) => heard.push(data);
      Object.assign(globalThis, { source });
    }, hub.address);
    await using tab = await chromium.open(hub.address + '#/streams');
    const { page } = tab;
    await expect.poll(() => rows(page).count(), { timeout: 15_000 }).toBe(2);
    await hub.publish('demo', 'before');
    const heard = () => watching.page.evaluate(() => (globalThis as unknown as { heard: string[] }).heard);
    await expect.poll(heard).toEqual(['before']);
    // Not that of the client of this test: the newest is the last in this order.
    await rows(page).last().getByRole('button', { name: 'End' }).click();
    const dialog = page.getByRole('dialog', { name: 'End this stream' });
    expect(await dialog.innerText()).toContain('told to come back after a moment, and continues after the last event that it has: nothing is missed');
    expect(await tab.axe()).toEqual([]);
    await dialog.getByRole('button', { name: 'Leave open' }).click();
    expect(await dialog.count()).toBe(0);
    const connections = async () => ((await (await hub.fetch('admin/stats')).json()) as { resumed_total: number }).resumed_total;
    expect(await connections()).toBe(0);
    await rows(page).last().getByRole('button', { name: 'End' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'End it' }).click();
    await page.getByText('The stream is ended').waitFor();
    await hub.publish('demo', 'after');
    await expect.poll(connections).toBe(1);
    await expect.poll(heard).toEqual(['before', 'after']);
    expect(client.ended).toBe(false);
  });

  it('ends all of a holder, after a question, and nobody else', async () => {
    await using hub = await Hub.start(['--access-tokens', TOKENS]);
    await using ann = await Client.open(hub, 'topic=a', 'ann');
    await using second = await Client.open(hub, 'topic=b', 'ann');
    await using bob = await Client.open(hub, 'topic=a', 'bob');
    await using tab = await signedIn(hub.address + '#/streams?holder=ann');
    const { page } = tab;
    await page.getByRole('button', { name: 'End all of ann' }).click();
    const dialog = page.getByRole('dialog', { name: 'End all of ann' });
    expect(await dialog.innerText()).toContain('All 2 streams of ann end now');
    await dialog.getByRole('button', { name: 'End all' }).click();
    await page.getByText('2 streams of ann ended').waitFor();
    await until('both have ended', () => ann.ended && second.ended);
    await page.getByText('No open stream is meant by this').waitFor();
    expect(bob.ended).toBe(false);
  });

  it('says so when the stream has gone meanwhile, and why when the hub refuses', async () => {
    await using hub = await Hub.start();
    const client = await Client.open(hub, 'topic=demo');
    await using tab = await chromium.open(hub.address + '#/streams');
    const { page } = tab;
    await rows(page).getByRole('button', { name: 'End' }).click();
    await client[Symbol.asyncDispose]();
    await until('it has gone', async () => ((await (await hub.fetch('admin/stats')).json()) as { subscribers: number }).subscribers === 0);
    await page.getByRole('button', { name: 'End it' }).click();
    await page.getByText('The stream had ended already').waitFor();
    await using _other = await Client.open(hub, 'topic=demo');
    await page.getByRole('button', { name: 'Refresh' }).click();
    await rows(page).getByRole('button', { name: 'End' }).click();
    await hub.kill();
    await page.getByRole('button', { name: 'End it' }).click();
    await page.getByRole('dialog').getByRole('alert').waitFor();
  });
});

it('is right at every width, in both themes, for axe, too', async () => {
  await using hub = await Hub.start();
  await using _long = await Client.open(hub, Array.from({ length: 30 }, (_, at) => `topic=${'long/'.repeat(40)}${at}`).join('&'));
  await using _short = await Client.open(hub, 'topic=%3Cimg%20src=x%3E');
  for (const colorScheme of ['light', 'dark'] as const) {
    await using tab = await chromium.open(hub.address + '#/streams', { colorScheme });
    await rows(tab.page).first().waitFor();
    for (const size of [NARROW, { width: 360, height: 740 }, WIDE, { width: 1600, height: 900 }]) {
      await tab.page.setViewportSize(size);
      expect(await tab.spills()).toEqual([]);
      expect(await tab.axe()).toEqual([]);
    }
  }
});
