// The settings of a topic, and what they cost; who may change them; deleting it.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Chromium } from './support/browser';
import { staticTokens } from './support/credentials';
import { Hub, until } from './support/hub';
import { data, list, numbered, publishMany, state } from './support/topic';

let chromium: Chromium;
beforeAll(async () => {
  chromium = await Chromium.launch();
});
afterAll(async () => {
  await chromium[Symbol.asyncDispose]();
});

it('limits tell what they will remove, and the events go', async () => {
  await using hub = await Hub.start();
  const ids = await publishMany(hub, 'story', 1000);
  await using tab = await chromium.open(hub.address + '#/topics/story');
  const { page } = tab;
  const cost = page.getByRole('form', { name: 'Retention' }).getByRole('status');
  await page.getByLabel('Most events').fill('30');
  await expect.poll(() => cost.textContent()).toMatch(new RegExp(`^Removes 970 events of 1,000\\. They are of 20.* and later; the oldest kept would be of 20.* \\(${ids[970]}\\)\\.$`));
  await page.getByRole('button', { name: 'Undo' }).click();
  expect(await page.getByLabel('Most events').inputValue()).toBe('');
  await page.getByLabel('Longest age').fill('1d');
  await expect.poll(() => cost.textContent()).toBe('Removes nothing now.');
  await page.getByLabel('Longest age').fill('a while');
  await expect.poll(() => cost.textContent()).toMatch(/^What this removes could not be worked out: /);
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('alert').filter({ hasText: 'max_age must be a duration' }).waitFor();
  await page.getByLabel('Longest age').fill('');
  await page.getByLabel('Largest size').fill('1000');
  await expect.poll(() => cost.textContent()).toMatch(/^Removes about 8\d\d events of 1,000\. /);
  await page.getByLabel('Largest size').fill('lots');
  await page.getByText('a size, such as 10 MiB').waitFor();
  await page.getByLabel('Largest size').fill('');
  await page.getByLabel('Most events').fill('30');
  await page.getByLabel('Reconnect after').fill('500');
  await page.getByRole('button', { name: 'Save and remove 970 events' }).click();
  await expect.poll(async () => (await state(hub, 'story')).retention).toEqual({ max_events: 30, max_age: null, max_bytes: null });
  expect((await state(hub, 'story')).retry).toBe(500);
  await expect.poll(() => data(tab)).toEqual(numbered(999, 970));
  await expect.poll(() => page.getByLabel('Numbers').textContent()).toMatch(/^Events kept30/);
  expect(await page.getByLabel('Most events').inputValue()).toBe('30');
  expect(await page.getByRole('link', { name: 'Older' }).count()).toBe(0);
  await page.getByLabel('Most events').fill('');
  await expect.poll(() => cost.textContent()).toMatch(/^For the number of events the hub’s own rule applies then/);
});

it('it is closed and reopened, and the page says whom that concerns', async () => {
  await using hub = await Hub.start();
  await hub.publish('story', 'x');
  const ended = Promise.all([1, 2, 3].map(async () => (await hub.fetch('events?topic=story')).text()));
  await until('three read it', async () => (await state(hub, 'story')).subscribers === 3);
  await using tab = await chromium.open(hub.address + '#/topics/story');
  const { page } = tab;
  await page.getByRole('button', { name: 'Close the topic…' }).click();
  await expect.poll(() => page.getByRole('dialog').textContent()).toContain('Publishing will be refused. Its 3 streams end;');
  await page.getByRole('dialog').getByRole('button', { name: 'Close the topic' }).click();
  await page.getByText('The topic is closed: it takes no more events').waitFor();
  for (const text of await ended) expect(text).toContain('event: hub.end');
  await page.getByRole('button', { name: 'Reopen' }).click();
  await page.getByRole('button', { name: 'Publish', exact: true }).waitFor();
  expect((await state(hub, 'story')).closed).toBe(false);
});

it('it is deleted when its name is typed', async () => {
  await using hub = await Hub.start();
  await publishMany(hub, 'jobs/42/log', 3);
  await using tab = await chromium.open(hub.address + '#/topics/jobs/42/log');
  const { page } = tab;
  await page.getByRole('button', { name: 'Delete…' }).click();
  await expect.poll(() => page.getByRole('dialog').textContent()).toContain('3 events (21 B) and the settings of jobs/42/log');
  const button = page.getByRole('button', { name: 'Delete the topic' });
  const name = page.getByLabel('Type the topic’s name to delete it');
  expect(await button.isDisabled()).toBe(true);
  await name.fill('jobs/42/lo');
  await name.press('Enter');
  expect(await button.isDisabled()).toBe(true);
  expect((await hub.fetch('topics/jobs/42/log')).status).toBe(200);
  await name.fill('jobs/42/log');
  await button.click();
  await page.getByRole('heading', { name: 'No topics yet' }).waitFor();
  expect((await hub.fetch('topics/jobs/42/log')).status).toBe(404);
  await tab.go('#/topics/jobs/42/log');
  await page.getByRole('heading', { name: 'There is no such topic yet' }).waitFor();
});

it('changes are not offered to those who may not make them', async () => {
  const token = 'reader-token-of-the-topics-tests';
  const admin = 'admin-token-of-the-topics-tests';
  const tokens = staticTokens([
    ['ops', admin, { publish: ['**'], subscribe: ['**'], admin: true }],
    ['reader', token, { publish: ['drop'], subscribe: ['news'] }],
  ]);
  await using hub = await Hub.start([], { GAPLESS_ACCESS_TOKENS: tokens });
  const headers = { Authorization: 'Bearer ' + admin };
  for (const topic of ['news', 'drop', 'hidden']) await hub.publish(topic, 'x', '', headers);
  await using tab = await chromium.open(hub.address + '#/topics');
  const { page } = tab;
  await page.evaluate((token) => sessionStorage.setItem('gapless.token', token), token);
  await page.reload();
  await expect.poll(() => page.getByRole('table').getByRole('link').allTextContents()).toEqual(['drop', 'news']);
  await page.getByRole('link', { name: 'news' }).click();
  await list(tab).getByRole('button').click();
  await page.getByText('Your token may not publish to this topic').waitFor();
  for (const name of ['Remove', 'Delete…', 'Close the topic…', 'Save', 'Publish']) expect(await page.getByRole('button', { name, exact: true }).count()).toBe(0);
  expect(await page.getByLabel('Most events').count()).toBe(0);
  await tab.go('#/topics/drop');
  await page.getByText('may not read its events').waitFor();
  expect(await page.getByRole('button', { name: 'Publish', exact: true }).count()).toBe(1);
  expect(await page.getByRole('link', { name: 'Watch' }).count()).toBe(0);
  await tab.go('#/topics/hidden');
  await page.getByRole('button', { name: 'Sign in' }).waitFor();
});
