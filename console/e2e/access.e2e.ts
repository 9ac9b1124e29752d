// What the page offers follows what the hub says now: a token that ends, other settings after a restart, a hub that asks for a token.
import { createHash, createHmac } from 'node:crypto';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { Chromium } from './support/browser';
import { Hub, PATIENCE } from './support/hub';

const poll = <T>(value: () => T) => expect.poll(value, { timeout: PATIENCE });
const links = (page: Page) => page.getByRole('navigation', { name: 'Views' }).getByRole('link').allInnerTexts();
const KEY = 'a-key-of-32-bytes-and-some-more-of-them';

function operator(seconds: number): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = {
    iss: 'https://login.test', aud: 'gapless', sub: 'ann', exp: Math.floor(Date.now() / 1000) + seconds,
    gapless: { publish: ['**'], subscribe: ['**'], admin: true },
  };
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', KEY).update(signed).digest('base64url')}`;
}

async function give(page: Page, token: string) {
  await page.getByRole('textbox', { name: 'Token' }).fill(token);
  await page.getByRole('button', { name: 'Use it' }).click();
  await page.getByRole('button', { name: 'Close' }).click();
}

test('a token that ends: no view offers what it allowed, and each leads to a new one', async () => {
  await using hub = await Hub.start([
    '--access-leeway', '0s', '--relay', 'ollama',
    '--access-issuers', `[{ issuer = "https://login.test", audience = "gapless", algorithms = ["HS256"], key = "${KEY}" }]`,
  ]);
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(hub.address);
  const { page } = tab;
  await page.getByRole('button', { name: 'Sign in' }).click();
  await give(page, operator(5));
  await poll(() => links(page)).toEqual(['Overview', 'Topics', 'Live', 'Streams', 'Runs']);
  // A view that asks the hub nothing by itself.
  await tab.go('#/live');
  await poll(() => links(page)).toEqual(['Topics', 'Live']);
  await tab.go('#/streams');
  await page.getByText(/The token expired at/).waitFor();
  await page.getByRole('button', { name: 'Sign in' }).click();
  await give(page, operator(600));
  await page.getByRole('button', { name: 'Refresh' }).waitFor();
  const commands = () => page.getByText(/^curl /).allTextContents();
  await poll(commands).toEqual([`curl -N -H "Authorization: Bearer $GAPLESS_TOKEN" '${hub.address}events?topic=demo'`]);
  expect(await links(page)).toEqual(['Overview', 'Topics', 'Live', 'Streams', 'Runs']);
  await tab.go('#/runs');
  await poll(commands).toEqual([expect.stringMatching(/^curl -H "Authorization: Bearer \$GAPLESS_TOKEN" -d /)]);
});

test('a hub that is back with the relay has "Runs", without a reload', async () => {
  await using hub = await Hub.start();
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(hub.address);
  const { page } = tab;
  await page.getByText('Nothing needs attention').waitFor();
  expect(await links(page)).toEqual(['Overview', 'Topics', 'Live', 'Streams']);
  await hub.kill();
  await hub.again(['--relay', 'ollama']);
  await poll(() => links(page)).toEqual(['Overview', 'Topics', 'Live', 'Streams', 'Runs']);
});

test('a token that may only publish is offered a topic that it may publish to, and nothing to watch', async () => {
  const sha256 = createHash('sha256').update('writer-token-of-32-bytes-and-more').digest('hex');
  await using hub = await Hub.start(['--access-tokens', `[{ name = "writer", sha256 = "${sha256}", publish = ["jobs/*/log"] }]`]);
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(hub.address);
  const { page } = tab;
  await page.getByRole('heading', { name: 'This hub asks for a token' }).waitFor();
  expect(await tab.axe()).toEqual([]);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await give(page, 'writer-token-of-32-bytes-and-more');
  await page.getByRole('heading', { name: 'This token may not watch anything' }).waitFor();
  await page.getByRole('link', { name: 'Topics' }).click();
  await page.getByRole('heading', { name: 'No topics to show' }).waitFor();
  expect(await page.getByText(/^curl /).textContent()).toContain('topic=jobs/demo/log');
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
  await page.getByText('On disk in').waitFor();
});
