// Publishing from the page: what it says when it knows what came of it, and when it does not.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Chromium } from './support/browser';
import { Hub, until } from './support/hub';
import { data, receipt, rows, state } from './support/topic';

let chromium: Chromium;
beforeAll(async () => {
  chromium = await Chromium.launch();
});
afterAll(async () => {
  await chromium[Symbol.asyncDispose]();
});

it('the page says in words what came of it', async () => {
  await using hub = await Hub.start();
  await hub.publish('jobs/1', 'past');
  const stream = new AbortController();
  await hub.fetch('events?topic=jobs/**', { signal: stream.signal });
  await using tab = await chromium.open(hub.address + '#/topics/jobs/1');
  const { page } = tab;
  await page.getByLabel('Data').fill('from the page');
  await page.getByLabel('Event name').fill('step');
  await page.getByLabel('Data').press('Control+Enter');
  await until('there is a receipt', async () => (await receipt(tab).textContent())!.startsWith('On disk'));
  const { last_id } = await state(hub, 'jobs/1');
  expect(await receipt(tab).textContent()).toBe(`On disk in jobs/1 as ${last_id}, sent to 1 live subscriber.`);
  await expect.poll(() => rows(tab)).toEqual([
    { name: 'step', data: 'from the page', id: last_id },
    expect.objectContaining({ name: null, data: 'past' }),
  ]);
  await page.getByLabel('Last event: close the topic').check();
  expect(await receipt(tab).textContent()).toBe('');
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
  await page.getByText('The topic is closed: it takes no more events').waitFor();
  expect((await state(hub, 'jobs/1')).closed).toBe(true);
  stream.abort();
});

it('an event goes to the topic that the form names, and the receipt goes away with its subject', async () => {
  await using hub = await Hub.start();
  await hub.publish('story', 'the last', '&close=true');
  await using tab = await chromium.open(hub.address + '#/topics');
  const { page } = tab;
  await page.getByRole('button', { name: 'Publish an event' }).click();
  for (const [label, text] of [['Publish to topic', 'open'], ['Data', 'other text'], ['Event name', 'other']] as const) {
    await page.getByLabel('Publish to topic').fill('story');
    await page.getByLabel('Data').fill('too late');
    await page.getByRole('button', { name: 'Publish', exact: true }).click();
    await page.getByText('Not published: the topic is closed').waitFor();
    await page.getByLabel(label).fill(text);
    expect(await receipt(tab).textContent()).toBe('');
  }
  await page.getByLabel('Publish to topic').fill('jobs/*/log');
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
  await page.getByText(/^Not published\. .*pattern/).waitFor();
  await page.getByLabel('Publish to topic').fill('other');
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
  await page.getByText('On disk in other as').waitFor();
  expect(await hub.kept('other')).toEqual(['too late']);
  expect(await hub.kept('story')).toEqual(['the last']);
});

it('the page does not say what it cannot know, and publishing again doubles nothing', async () => {
  await using hub = await Hub.start();
  await hub.publish('story', 'first');
  await using tab = await chromium.open(hub.address + '#/topics/story');
  const { page } = tab;
  const publish = async (text: string) => {
    await page.getByLabel('Data').fill(text);
    await page.getByRole('button', { name: 'Publish', exact: true }).click();
  };
  const unknown = page.getByText('It is not known whether the event was published to story');
  const again = page.getByRole('button', { name: 'Publish again' });
  await page.getByLabel('Data').waitFor();
  // The event arrives, and the answer is lost on its way back.
  await page.route('**/publish*', async (route) => (await route.fetch(), await route.abort()), { times: 1 });
  await publish('second');
  await unknown.waitFor();
  await again.click();
  await page.getByText('On disk in story as').waitFor();
  expect(await hub.kept('story')).toEqual(['first', 'second']);
  // What stands between them answers in its own words.
  await page.route('**/publish*', (route) => route.fulfill({ status: 502, body: '<h1>Bad Gateway</h1>' }), { times: 1 });
  await publish('third');
  await unknown.waitFor();
  // Another text is another event.
  await publish('fourth');
  await page.getByText('On disk in story as').waitFor();
  expect(await hub.kept('story')).toEqual(['first', 'second', 'fourth']);

  await hub.kill();
  await publish('fifth');
  await unknown.waitFor();
  // By the page as a whole, and not only by its list of events.
  await page.locator('main > [role=alert]').filter({ hasText: 'The hub cannot be reached' }).waitFor();
  await hub.again();
  await page.getByText('The hub is back. If the list does not show the event').waitFor();
  await again.click();
  await expect.poll(() => page.getByRole('alert').count()).toBe(0);
  await expect.poll(() => data(tab)).toEqual(['fifth', 'fourth', 'second', 'first']);
  expect(await hub.kept('story')).toEqual(['first', 'second', 'fourth', 'fifth']);
});

it('the page does not say that a hub is back that was never away', async () => {
  await using hub = await Hub.start();
  await hub.publish('story', 'first');
  await using tab = await chromium.open(hub.address + '#/topics/story');
  const { page } = tab;
  await page.getByLabel('Data').fill('lost');
  await page.route('**/publish*', (route) => route.abort(), { times: 1 });
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
  await page.getByText('It is not known').waitFor();
  // It has asked the hub since.
  await page.waitForResponse(/topics\/story$/);
  await hub.publish('story', 'second');
  await expect.poll(() => data(tab)).toEqual(['second', 'first']);
  expect(await receipt(tab).textContent()).toMatch(/^It is not known/);
});
