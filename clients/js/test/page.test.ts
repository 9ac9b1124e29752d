// The package in Chromium: a page of another site than the hub's, and React.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { type Browser, type Page, chromium } from 'playwright-core';
import { publish } from 'gapless';
import { HubProcess, PATIENCE, until } from './hub.js';

let browser: Browser;
let site: Server;
let origin: string;
/** Paths that the site was asked for. */
const asked: string[] = [];
const hub = new HubProcess();

/** The flags and the token of a vector with tokens. */
const vector = JSON.parse(readFileSync(join(process.env['GAPLESS_VECTORS']!, 'token-renewed.json'), 'utf8'));
const [old, good] = vector.steps.find((step: { do: string }) => step.do === 'subscribe').token as [string, string];
const flags = () => ['--stream-retry', '100ms', '--cors-origins', origin];

before(async () => {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('page.js', import.meta.url))],
    bundle: true,
    write: false,
    format: 'esm',
    // StrictMode mounts twice in this one only.
    define: { 'process.env.NODE_ENV': '"development"' },
  });
  const files: Record<string, [string, string | Uint8Array]> = {
    '/': ['text/html', '<!doctype html><div id="root"></div>'],
    '/react': ['text/html', '<!doctype html><div id="root"></div><script type="module" src="/page.js"></script>'],
    '/page.js': ['text/javascript', outputFiles[0]!.contents],
    '/browser.min.js': ['text/javascript', readFileSync(fileURLToPath(import.meta.resolve('gapless/browser')))],
  };
  site = createServer((request, response) => {
    const { pathname } = new URL(request.url!, origin);
    if (pathname.startsWith('/moved/')) return response.writeHead(302, { location: '/elsewhere' }).end();
    asked.push(pathname);
    const file = files[pathname];
    response.writeHead(file ? 200 : 404, { 'content-type': file?.[0] ?? 'text/plain' }).end(file?.[1]);
  });
  await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
  browser = await chromium.launch({
    executablePath: process.env['CHROMIUM'] || '/usr/bin/chromium',
    args: [
      ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
      ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
    ],
  });
});

after(async () => {
  await browser?.close();
  site?.close();
  await hub.remove();
});

/** Opens a page; what it throws fails the test. */
async function opened(path: string): Promise<{ page: Page; wrongs: string[] }> {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(PATIENCE);
  const wrongs: string[] = [];
  page.on('pageerror', (error) => wrongs.push(String(error)));
  await page.goto(origin + path);
  return { page, wrongs };
}

test('a page of another site resumes over kill -9 of the hub, and over a reload by its store', async () => {
  const tokens = ['--access-tokens', vector.flags[vector.flags.indexOf('--access-tokens') + 1]];
  await hub.start([...flags(), ...tokens], 'new');
  const { page, wrongs } = await opened('/');
  const follow = () =>
    page.evaluate(
      async ({ url, tokens: [old, good], module }) => {
        const { subscribe, publish }: typeof import('gapless') = await import(module);
        const seen: string[] = [];
        const first = [old, good];
        const store = {
          get: () => localStorage.getItem('cursor'),
          set: (cursor: string) => localStorage.setItem('cursor', cursor),
        };
        Object.assign(globalThis, { seen, publish });
        const options = { topics: ['jobs/*'], from: 'earliest', store, token: () => first.shift() ?? good };
        subscribe(url, { ...options, onItem: (item) => void seen.push(item.type === 'event' ? item.data : item.type) });
        await publish(url, 'jobs/1', 'by the page', { token: good });
      },
      { url: hub.url, tokens: [old, good] as const, module: `${origin}/browser.min.js` },
    );
  const seen = () => page.evaluate(() => (globalThis as unknown as { seen: string[] }).seen);
  const say = (data: string) => publish(hub.url, 'jobs/2', data, { token: good });

  await follow();
  await say('one');
  await until('it comes', async () => (await seen()).length === 2);
  await hub.end('SIGKILL');
  await hub.start([...flags(), ...tokens]);
  await say('two');
  await until('it comes after the kill', async () => (await seen()).length === 3);
  assert.deepEqual(await seen(), ['by the page', 'one', 'two']);

  await page.reload();
  await say('three');
  await follow();
  await until('it comes after the reload', async () => (await seen()).length >= 2);
  assert.deepEqual(await seen(), ['three', 'by the page']);
  assert.deepEqual(wrongs, []);
  await hub.end();
});

test('a page follows no redirect', async () => {
  const { page } = await opened('/');
  const problems = await page.evaluate(
    async ({ module, url }) => {
      const { subscribe, publish }: typeof import('gapless') = await import(module);
      const told = (error: Error) => `${error.name}: ${error.message}`;
      return [
        await publish(url, 't', 'x', { giveUpAfter: 1_000 }).then(String, told),
        await subscribe(url, { topics: 't' })[Symbol.asyncIterator]().next().then(String, told),
      ];
    },
    { module: `${origin}/browser.min.js`, url: `${origin}/moved` },
  );
  for (const problem of problems) assert.match(problem, /^HubProblem: The answer is a redirect/);
  assert.ok(!asked.includes('/elsewhere'), `${asked}`);
});

test('a hook has every event once, under StrictMode, over a kill and over mounts', async () => {
  await hub.start(flags(), 'new');
  for (const data of ['a', 'b', 'c']) await publish(hub.url, 'shared', data);
  for (const data of ['Hel', 'lo']) await publish(hub.url, 'one', data);
  await publish(hub.url, 'two', 'Bye', { close: true });

  const { page, wrongs } = await opened(`/react?hub=${hub.url}`);
  const requests: string[] = [];
  page.on('request', (request) => request.url().includes('/events') && requests.push(request.url()));
  const says = (selector: string, text: string, title?: string) =>
    until(`${selector} says ${text}`, async () => {
      const at = page.locator(selector);
      const [told, state] = [await at.textContent(), await at.getAttribute('title')];
      if (told !== text || (title && state !== title)) throw new Error(`${told} (${state})`);
      return true;
    });

  await says('#first', 'a b c', 'open');
  await says('#second', 'a b c');
  await says('#answer p', 'Hello');

  await hub.end('SIGKILL');
  await hub.start(flags());
  const secret = await publish(hub.url, 'shared', 'secret');
  await publish(hub.url, 'one', '!');
  await says('#first', 'a b c secret');
  await says('#answer p', 'Hello!', 'open');
  await hub.request('DELETE', `/events/${secret.id}?topic=shared`);
  await says('#first', 'a b c');

  requests.length = 0;
  await page.getByText('show', { exact: true }).click();
  await until('nobody listens', async () => {
    const topic = (await (await hub.request('GET', '/topics/shared')).json()) as { subscribers: number };
    return topic.subscribers === 0;
  });
  for (const data of ['d', 'e', 'f']) await publish(hub.url, 'shared', data);
  await page.getByText('show', { exact: true }).click();
  await says('#first', 'b c d e f');
  await says('#second', 'b c d e f', 'open');
  assert.ok(requests.length > 0 && requests.every((url) => url.includes('last_event_id=')), `${requests}`);

  await page.getByText('two', { exact: true }).click();
  await says('#answer p', 'Bye', 'ended');
  assert.deepEqual(wrongs, []);
});
