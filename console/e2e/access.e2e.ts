// What the page offers follows what the hub says now: a token that ends, other settings after a restart, a hub that asks for a token.
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { Chromium } from './support/browser';
import { ISSUERS, giveToken, jwt, staticTokens } from './support/credentials';
import { Hub, PATIENCE } from './support/hub';

const poll = <T>(value: () => T) => expect.poll(value, { timeout: PATIENCE });
const links = (page: Page) => page.getByRole('navigation', { name: 'Views' }).getByRole('link').allInnerTexts();
const operator = (seconds: number) => jwt(seconds, { publish: ['**'], subscribe: ['**'], admin: true });

test('a token that ends: no view offers what it allowed, and each leads to a new one', async () => {
  await using hub = await Hub.start([
    '--access-leeway', '0s', '--relay', 'ollama',
    '--access-issuers', ISSUERS,
  ]);
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(hub.address);
  const { page } = tab;
  await page.getByRole('button', { name: 'Sign in' }).click();
  await giveToken(page, operator(5));
  await poll(() => links(page)).toEqual(['Overview', 'Topics', 'Live', 'Streams', 'Runs']);
  // A view that asks the hub nothing by itself.
  await tab.go('#/live');
  await poll(() => links(page)).toEqual(['Topics', 'Live']);
  await tab.go('#/streams');
  await page.getByText(/The token expired at/).waitFor();
  await page.getByRole('button', { name: 'Sign in' }).click();
  await giveToken(page, operator(600));
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
  await poll(() => links(page)).toEqual(['Overview', 'Topics', 'Live', 'Streams']);
  await hub.kill();
  await hub.again(['--relay', 'ollama']);
  await poll(() => links(page)).toEqual(['Overview', 'Topics', 'Live', 'Streams', 'Runs']);
});

test('a token that may only publish is offered a topic that it may publish to, and nothing to watch', async () => {
  await using hub = await Hub.start(['--access-tokens', staticTokens([['writer', 'writer-token-of-32-bytes-and-more', { publish: ['jobs/*/log'] }]])]);
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(hub.address);
  const { page } = tab;
  await page.getByRole('heading', { name: 'This hub asks for a token' }).waitFor();
  expect(await tab.axe()).toEqual([]);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await giveToken(page, 'writer-token-of-32-bytes-and-more');
  await page.getByRole('heading', { name: 'This token may not watch anything' }).waitFor();
  await page.getByRole('link', { name: 'Topics' }).click();
  await page.getByRole('heading', { name: 'No topics to show' }).waitFor();
  expect(await page.getByText(/^curl /).textContent()).toContain('topic=jobs/demo/log');
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
  await page.getByText('On disk in').waitFor();
});
