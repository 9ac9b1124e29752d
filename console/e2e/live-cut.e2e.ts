// The promise: a connection that breaks, in whatever way, costs no event, or the page says which.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { Chromium } from './support/browser';
import { ISSUERS, giveToken, jwt } from './support/credentials';
import { Hub, PATIENCE, until } from './support/hub';
import { list, rowTexts, says, sees, words } from './support/live';

const poll = <T>(value: () => T) => expect.poll(value, { timeout: PATIENCE });
/** So high that all rows of these tests are in sight. */
const HIGH = { viewport: { width: 1440, height: 2600 } };
const cut = (page: Page) => page.getByRole('button', { name: 'Cut the connection' }).click();
const result = (page: Page) => page.getByRole('status', { name: 'Result of the cut' });
const live = (hub: Hub, topic: string, more = '') => `${hub.address}#/live?topic=${topic}&from=earliest&view=text${more}`;

/** What came by replay, according to a line in the list. */
const back = async (page: Page) => (await rowTexts(page)).find((text) => text.startsWith('Connection '));

test('cut and resumed while events go on: the ids say that nothing was missed and nothing came twice', async () => {
  await using hub = await Hub.start(['--stream-retry', '1500ms']);
  await hub.publish('story', 'before');
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(live(hub, 'story'), HIGH);
  const { page } = tab;
  await sees(page, ['before']);
  await cut(page);
  await says(page, 'Reconnecting');
  for (const word of words('meanwhile', 37)) await hub.publish('story', word);
  await poll(() => result(page).textContent()).toMatch(/^missed 0, twice 0; 37 events came by replay in (\d+ ms|\d+\.\d s) after \d+\.\d s without a connection$/);
  await says(page, 'Live');
  await hub.publish('story', 'after');
  await poll(async () => (await rowTexts(page)).at(-1)).toBe('after');
  expect(await back(page)).toMatch(/^Connection cut \d\d:\d\d:\d\d, back after \d+\.\d s: nothing missed, 37 by replay$/);
});

test('where nobody publishes, the page does so while it is cut', async () => {
  await using hub = await Hub.start(['--stream-retry', '1s']);
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(live(hub, 'demo'), HIGH);
  const { page } = tab;
  await says(page, 'Live');
  expect(await page.getByRole('checkbox', { name: 'Publish a tick each 0.1 s while it is cut' }).isChecked()).toBe(true);
  await cut(page);
  await poll(() => result(page).textContent()).toMatch(/^missed 0, twice 0; [1-9]\d* events? came by replay/);
  const kept = await hub.kept('demo');
  expect(kept.length).toBeGreaterThan(2);
  await poll(() => list(page).getByRole('row').filter({ hasText: 'tick' }).count()).toBe(kept.length);
  // Elsewhere it is not chosen beforehand: others may read that topic.
  await tab.go('#/live?topic=orders/**&from=now');
  await says(page, 'Live');
  const box = page.getByRole('checkbox', { name: 'Publish a tick each 0.1 s while it is cut to orders/demo' });
  expect(await box.isChecked()).toBe(false);
});

test('an event that the stream withheld is missed, and one that it repeated came twice: the page notices', async () => {
  await using hub = await Hub.start(['--stream-retry', '300ms']);
  await hub.publish('story', 'before');
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(live(hub, 'story'), HIGH);
  const { page } = tab;
  await sees(page, ['before']);
  // A proxy that loses one event and repeats another.
  await page.route(
    (url) => url.pathname === '/events' && url.searchParams.get('format') === 'message',
    async (route) => {
      const id = route.request().headers()['last-event-id']!;
      const response = await hub.fetch(`events?topic=story&last_event_id=${id}`, { headers: { Accept: 'application/json' } });
      const { events } = (await response.json()) as { events: { id: string }[] };
      const block = (event: { id: string }) => `data: ${JSON.stringify(event)}\nid: ${event.id}\n\n`;
      await route.fulfill({ contentType: 'text/event-stream', body: [events[0]!, events[2]!, events[2]!].map(block).join('') });
    },
    { times: 1 },
  );
  await cut(page);
  for (const word of words('meanwhile', 3)) await hub.publish('story', word);
  await poll(() => result(page).textContent()).toMatch(/^missed 1, twice [1-9]/);
});

test('where the log cannot be read besides, the page does not claim to know', async () => {
  await using hub = await Hub.start(['--stream-retry', '300ms']);
  await hub.publish('story', 'before');
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(live(hub, 'story'), HIGH);
  const { page } = tab;
  await sees(page, ['before']);
  await page.route((url) => url.pathname === '/events' && !url.searchParams.has('format'), (route) => route.abort());
  await cut(page);
  await hub.publish('story', 'meanwhile');
  let over = false;
  // Events that do not pause.
  const flow = (async () => {
    while (!over) await hub.publish('story', 'on').then(() => new Promise((wait) => setTimeout(wait, 20)));
  })();
  try {
    await poll(() => result(page).textContent()).toContain('not compared with the log: The hub cannot be reached');
    await says(page, /^Live$/);
  } finally {
    over = true;
    await flow;
  }
  await poll(() => back(page)).toMatch(/: no gap told, \d+ by replay$/);
});

test('killed and started again under the page, in a pattern: nothing is missed', async () => {
  await using hub = await Hub.start(['--stream-retry', '300ms']);
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(live(hub, 'jobs/*'), HIGH);
  const { page } = tab;
  for (const word of words('before', 20)) await hub.publish('jobs/1', word);
  await sees(page, words('jobs/1 before', 20));
  await hub.kill();
  await says(page, /Reconnecting in \d+ s:.*nothing will be missed/);
  await hub.again();
  for (const word of words('after', 20)) await hub.publish('jobs/2', word);
  await says(page, /^Live$/);
  await sees(page, [...words('jobs/1 before', 20), ...words('jobs/2 after', 20)]);
  await poll(() => back(page)).toMatch(/^Connection lost .*: nothing missed, \d+ by replay$/);
});

test('cut, and then killed: one time without a connection, and the same answer', async () => {
  await using hub = await Hub.start(['--stream-retry', '1s']);
  await hub.publish('story', 'before');
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(live(hub, 'story'), HIGH);
  const { page } = tab;
  await sees(page, ['before']);
  await cut(page);
  for (const word of words('meanwhile', 5)) await hub.publish('story', word);
  await hub.kill();
  await says(page, 'the hub cannot be reached');
  await hub.again();
  await hub.publish('story', 'again');
  await poll(() => result(page).textContent()).toMatch(/^missed 0, twice 0; [56] events came by replay/);
  await sees(page, ['before', ...words('meanwhile', 5), 'again']);
});

test('a gap is told before what comes after it, and counts as missed', async () => {
  await using hub = await Hub.start(['--stream-retry', '3s']);
  const seen = await hub.publish('story', 'seen');
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(live(hub, 'story'), HIGH);
  const { page } = tab;
  await sees(page, ['seen']);
  await cut(page);
  await hub.fetch('topics/story', { method: 'PUT', body: '{"retention":{"max_events":2}}' });
  const ids: string[] = [];
  for (const word of words('missed', 5)) ids.push(await hub.publish('story', word));
  await until('the oldest are trimmed', async () => ((await (await hub.fetch('topics/story')).json()) as { first_id: string }).first_id === ids[3]);
  await sees(page, ['seen', `Gap: events of story after ${seen} are gone: trimmed by retention; resuming at ${ids[3]}`, 'missed 3', 'missed 4']);
  await poll(() => result(page).textContent()).toMatch(/^missed at most 3, told by a gap, twice 0; 2 events came by replay/);
  // In a display without rows as well.
  await page.getByRole('button', { name: 'By kind' }).click();
  await poll(() => page.getByRole('list', { name: 'Gaps, ends and lost connections' }).innerText()).toContain(`Gap: events of story after ${seen} are gone`);
});

test('a hub that comes back with another store says so', async () => {
  await using hub = await Hub.start(['--stream-retry', '300ms']);
  const seen = await hub.publish('story', 'of the first store');
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(live(hub, 'story'), HIGH);
  const { page } = tab;
  await sees(page, ['of the first store']);
  await hub.kill();
  rmSync(join(hub.data, 'store'), { recursive: true });
  await says(page, 'the hub cannot be reached');
  await hub.again();
  await poll(async () => (await rowTexts(page)).join('\n')).toContain(`Gap: events after ${seen} are gone: the last id is of another store`);
  await poll(() => back(page)).toMatch(/^Connection lost .*: missed events that are gone, told by a gap/);
  await hub.publish('story', 'of the second store');
  await poll(async () => (await rowTexts(page)).at(-1)).toBe('of the second store');
});

test('a topic that ends, and one that ends while the connection is cut', async () => {
  await using hub = await Hub.start(['--stream-retry', '1s']);
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(live(hub, 'story'), HIGH);
  const { page } = tab;
  await hub.publish('story', 'the last', '&close=true');
  await says(page, 'Ended: story was closed');
  await sees(page, ['the last', 'End: story was closed']);
  await tab.go('#/live?topic=story&from=now');
  await says(page, 'Ended: the topic is closed');
  await page.getByRole('heading', { name: 'No event of story to show' }).waitFor();

  await hub.publish('other', 'first');
  await tab.go('#/live?topic=other&from=earliest&view=text');
  await sees(page, ['first']);
  await cut(page);
  await hub.publish('other', 'the last', '&close=true');
  await poll(() => result(page).textContent()).toMatch(/^missed 0, twice 0; 1 event came by replay/);
  await says(page, 'Ended: other was closed');
});

test('an event that was removed is shown no more', async () => {
  await using hub = await Hub.start();
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(live(hub, 'notices'), HIGH);
  const { page } = tab;
  const id = await hub.publish('notices', 'a secret');
  await hub.publish('notices', 'another');
  await sees(page, ['a secret', 'another']);
  await list(page).getByRole('row').filter({ hasText: 'a secret' }).click();
  await page.getByRole('region', { name: 'Event details' }).getByText('a secret').waitFor();
  expect((await hub.fetch(`events/${id}?topic=notices`, { method: 'DELETE' })).status).toBe(204);
  await sees(page, ['Removed', 'another', `${id} was removed`]);
  await poll(() => page.getByText('a secret').count()).toBe(0);
  await page.reload();
  await sees(page, ['Removed', 'another', `${id} was removed`]);
});

test('a hub that drains says so, and the stream goes on after it', async () => {
  await using hub = await Hub.start(['--stream-retry', '500ms']);
  await hub.publish('story', 'before');
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(live(hub, 'story'), HIGH);
  const { page } = tab;
  await sees(page, ['before']);
  await hub.stop();
  await says(page, /Reconnecting in \d+ s: the hub (ended the connection and asked to come back|cannot be reached)/);
  await hub.again();
  await hub.publish('story', 'after');
  await sees(page, ['before', 'after']);
});

const token = (seconds: number) => jwt(seconds, { publish: ['**'], subscribe: ['**'] });

test('a token that ends while the page is open: with a new one nothing was missed', async () => {
  await using hub = await Hub.start([
    '--stream-retry', '300ms', '--access-leeway', '0s',
    '--access-issuers', ISSUERS,
  ]);
  const lasting = { Authorization: 'Bearer ' + token(600) };
  await hub.publish('story', 'before', '', lasting);
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(live(hub, 'story'), HIGH);
  const { page } = tab;
  await says(page, 'Refused: ');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await giveToken(page, token(6));
  await sees(page, ['before']);
  await says(page, /^Live$/);
  await says(page, 'Refused: ');
  // What it had stays, and what came meanwhile follows.
  await sees(page, ['before']);
  for (const word of words('meanwhile', 5)) await hub.publish('story', word, '', lasting);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await giveToken(page, token(600));
  await sees(page, ['before', ...words('meanwhile', 5)]);
  await poll(() => back(page)).toMatch(/^Connection lost .*: nothing missed, 5 by replay$/);
  // No address has the token, and without it nothing stays on the screen.
  expect(page.url()).not.toContain('eyJ');
  await page.getByRole('button', { name: /^Token:/ }).click();
  await page.getByRole('button', { name: 'Forget it' }).click();
  await poll(() => page.getByText('meanwhile 4').count()).toBe(0);
});
