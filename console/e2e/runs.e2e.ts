// Runs and the playground, against a real hub and a provider that is a server of its own.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Chromium } from './support/browser';
import { Hub } from './support/hub';
import { Provider } from './support/provider';
import { ask, badge, said, text, words } from './support/runs';

let chromium: Chromium;
beforeAll(async () => {
  chromium = await Chromium.launch();
});
afterAll(async () => {
  await chromium[Symbol.asyncDispose]();
});

test('ask, watch it type, reload in the middle, a second tab: nothing is lost and nothing twice', async () => {
  await using provider = await Provider.start();
  await using hub = await Hub.start(provider.flags);
  await using tab = await chromium.open(hub.address + '#/runs');
  await tab.page.getByRole('heading', { name: 'No run yet' }).waitFor();
  provider.answer = { thoughts: ['I ', 'count.'], words: words(40), pace: 5, holdAfter: 20 };
  const run = await ask(tab, 'Count to 40');
  await expect.poll(() => text(tab)).toBe(said(20));
  expect(await badge(tab).textContent()).toBe('Running');
  await tab.page.getByText('Count to 40').first().waitFor();
  await tab.page.reload();
  await expect.poll(() => text(tab)).toBe(said(20));
  expect(await tab.page.getByRole('group', { name: 'You' }).textContent()).toBe('Count to 40');
  await using second = await chromium.open(hub.address + '#/runs/' + run);
  await expect.poll(() => text(second)).toBe(said(20));
  provider.release();
  for (const each of [tab, second]) {
    await expect.poll(() => text(each)).toBe(said(40));
    await expect.poll(() => badge(each).textContent()).toBe('Completed');
    expect(await each.page.getByText('7 in, 40 out').count()).toBe(1);
    await each.page.getByText('Thoughts').click();
    expect(await each.page.getByRole('group', { name: 'Thoughts' }).textContent()).toBe('I count.');
    await expect.poll(() => each.page.getByText(/tokens\/s$/).count()).toBe(1);
  }
  expect(await tab.page.title()).toBe('Completed: gpt-5-mini · gapless');
  // One request to the provider, whoever watches.
  expect(provider.asked).toEqual([
    { stream: true, model: 'gpt-5-mini', messages: [{ role: 'user', content: 'Count to 40' }], stream_options: { include_usage: true } },
  ]);
  await tab.page.getByRole('link', { name: 'Back to the list' }).click();
  const row = tab.page.getByRole('row', { name: /gpt-5-mini/ });
  await row.waitFor();
  expect(await row.getByText('Completed').count()).toBe(1);
});

test('Stop ends the answer for everybody, and says who stopped it', async () => {
  await using provider = await Provider.start();
  await using hub = await Hub.start(provider.flags);
  provider.answer = { words: words(1000), pace: 10 };
  await using tab = await chromium.open(hub.address + '#/runs');
  const run = await ask(tab, 'Go on');
  await expect.poll(() => text(tab)).toContain('w5 ');
  await expect.poll(() => tab.page.getByText(/deltas\/s$/).count()).toBe(1);
  await using second = await chromium.open(hub.address + '#/runs/' + run);
  await expect.poll(() => text(second)).toContain('w5 ');
  await tab.page.getByRole('button', { name: 'Stop' }).click();
  for (const each of [tab, second]) {
    await expect.poll(() => badge(each).textContent()).toBe('Stopped');
    expect(await each.page.getByRole('button', { name: 'Stop' }).count()).toBe(0);
  }
  expect(await text(tab)).toBe(await text(second));
  const kept = (await (await hub.fetch('runs/' + run)).json()) as { text: string; status: string };
  expect([kept.status, kept.text.trim()]).toEqual(['stopped', await text(tab)]);
});

test('the hub dies in the middle: the page says so, and the end', async () => {
  await using provider = await Provider.start();
  await using hub = await Hub.start(provider.flags);
  provider.answer = { words: words(10), holdAfter: 5 };
  await using tab = await chromium.open(hub.address + '#/runs');
  await ask(tab, 'Hello');
  await expect.poll(() => text(tab)).toBe(said(5));
  await hub.kill();
  await tab.page.getByText(/^No connection/).waitFor();
  await hub.again();
  await expect.poll(() => badge(tab).textContent()).toBe('Interrupted: the hub ended');
  expect(await text(tab)).toBe(said(5));
});

test('a failed run says why, in words', async () => {
  await using provider = await Provider.start();
  await using hub = await Hub.start(provider.flags);
  await using tab = await chromium.open(hub.address + '#/runs');
  const { page } = tab;
  provider.answer = { words: ['Well, '], end: 'error' };
  await ask(tab, 'Fail');
  await page.getByText(/^Failed: .*The model is overloaded\.$/).waitFor();
  expect(await text(tab)).toBe('Well,');
  provider.answer = { words: ['Half'], end: 'cut' };
  await ask(tab, 'Cut');
  await expect.poll(() => badge(tab).textContent()).toBe('Cut off by the provider');
  provider.answer = { words: [], refuse: { status: 400, message: 'No such model <b>x</b>' } };
  await page.getByRole('textbox', { name: 'Prompt' }).fill('Refuse');
  await page.getByRole('button', { name: 'Ask' }).click();
  await page.getByText(/No such model <b>x<\/b>/).first().waitFor();
  await page.getByRole('combobox', { name: 'Provider' }).selectOption('local');
  await page.getByRole('button', { name: 'More' }).click();
  await page.getByRole('textbox', { name: 'Into topic' }).fill('chats/1');
  provider.answer = { words: ['x', 'y'], holdAfter: 1 };
  await ask(tab, 'First');
  await expect.poll(() => text(tab)).toBe('x');
  const first = page.url();
  await page.getByRole('textbox', { name: 'Prompt' }).fill('Second in the same topic');
  await page.getByRole('button', { name: 'Ask' }).click();
  await page.getByRole('alert').filter({ hasText: 'running' }).waitFor();
  expect(page.url()).toBe(first);
});

test('the anthropic dialect, a model by its pattern, instructions and a topic; its events in Live', async () => {
  await using provider = await Provider.start();
  await using hub = await Hub.start(provider.flags);
  await using tab = await chromium.open(hub.address + '#/runs');
  const { page } = tab;
  provider.answer = { thoughts: ['Let me see.'], words: ['Bonjour', ' !'] };
  await page.getByRole('combobox', { name: 'Provider' }).selectOption('claude');
  await page.getByText('Allowed: claude-*').waitFor();
  await page.getByRole('combobox', { name: 'Model' }).fill('claude-tiny');
  await page.getByRole('button', { name: 'More' }).click();
  await page.getByRole('textbox', { name: 'Instructions' }).fill('In French');
  await page.getByRole('textbox', { name: 'Into topic' }).fill('chats/a b');
  await ask(tab, 'Greet', 'claude');
  await expect.poll(() => text(tab)).toBe('Bonjour !');
  await page.getByText('Thoughts').click();
  expect(await page.getByRole('group', { name: 'Thoughts' }).textContent()).toBe('Let me see.');
  expect(provider.asked).toEqual([{ stream: true, model: 'claude-tiny', max_tokens: 4096, system: 'In French', messages: [{ role: 'user', content: 'Greet' }] }]);
  const link = await page.getByRole('link', { name: 'chats/a b' }).getAttribute('href');
  expect(link).toMatch(/^#\/live\?topic=chats%2Fa\+b&from=[a-z0-9]+-\d+$/);
  const from = new URLSearchParams(link!.split('?')[1]).get('from')!;
  const events = await (await hub.fetch(`events?topic=chats/a%20b&from=${from}`, { headers: { Accept: 'application/json' } })).json();
  expect((events as { events: { event: string }[] }).events[0]!.event).toBe('run.started');
});

test('a response that is lost on its way does not ask the provider twice', async () => {
  await using provider = await Provider.start();
  await using hub = await Hub.start(provider.flags);
  await using tab = await chromium.open(hub.address + '#/runs');
  const { page } = tab;
  let lost = 0;
  await page.route('**/runs', async (route) => {
    if (route.request().method() !== 'POST' || lost) return route.continue();
    lost += 1;
    await route.fetch();
    await route.abort('connectionreset');
  });
  await page.getByRole('combobox', { name: 'Provider' }).selectOption('local');
  await page.getByRole('textbox', { name: 'Prompt' }).fill('Once');
  await page.getByRole('button', { name: 'Ask' }).click();
  await page.getByRole('alert').filter({ hasText: 'cannot be reached' }).waitFor();
  await page.getByRole('button', { name: 'Ask' }).click();
  await expect.poll(() => text(tab)).toBe('Hello world.');
  expect(lost).toBe(1);
  expect(provider.asked.length).toBe(1);
});

test('on paper a run is drawn twice a second', async () => {
  await using provider = await Provider.start();
  await using hub = await Hub.start(provider.flags);
  provider.answer = { words: words(400), pace: 10 };
  await using tab = await chromium.open(hub.address + '#/runs');
  await ask(tab, 'Slowly');
  await tab.page.getByRole('switch', { name: 'E-ink' }).click();
  await expect.poll(() => text(tab)).toContain('w20 ');
  const { draws, ms } = await tab.page.evaluate(async () => {
    const seen = { draws: 0, changed: false };
    const begun = performance.now();
    new MutationObserver(() => (seen.changed = true)).observe(document.querySelector('.run')!, { subtree: true, childList: true, characterData: true, attributes: true });
    while (performance.now() - begun < 2500) {
      await new Promise(requestAnimationFrame);
      if (seen.changed) seen.draws += 1;
      seen.changed = false;
    }
    return { draws: seen.draws, ms: performance.now() - begun };
  });
  // The figures of the run are read every two seconds, and drawn as well.
  expect(draws).toBeLessThanOrEqual(Math.ceil(ms / 500) + 3);
  expect(draws).toBeGreaterThan(2);
  await expect.poll(() => text(tab)).toBe(said(400));
});
