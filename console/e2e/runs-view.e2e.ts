// The views of runs: the list, deleting, rights, hostile and large answers, axe.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Chromium, NARROW } from './support/browser';
import { Hub, until } from './support/hub';
import { Provider } from './support/provider';
import { ask, badge, said, text, words } from './support/runs';

let chromium: Chromium;
beforeAll(async () => {
  chromium = await Chromium.launch();
});
afterAll(async () => {
  await chromium[Symbol.asyncDispose]();
});

test('a run is deleted after a question; its page says so, also to who comes later', async () => {
  await using provider = await Provider.start();
  await using hub = await Hub.start(provider.flags);
  await using tab = await chromium.open(hub.address + '#/runs');
  const { page } = tab;
  const run = await ask(tab, 'Hello');
  await expect.poll(() => badge(tab).textContent()).toBe('Completed');
  await page.getByRole('button', { name: 'Delete …' }).click();
  await page.getByRole('button', { name: 'Cancel' }).click();
  expect((await hub.fetch('runs/' + run)).status).toBe(200);
  await page.getByRole('button', { name: 'Delete …' }).click();
  await page.getByRole('button', { name: 'Delete it' }).click();
  await page.getByRole('heading', { name: 'Run deleted' }).waitFor();
  await until('the run is gone', async () => (await hub.fetch('runs/' + run)).status === 404);
  await page.reload();
  await page.getByText('There is no run with this id').waitFor();
  await page.getByRole('link', { name: 'Back to the list' }).click();
  await page.getByRole('heading', { name: 'No run yet' }).waitFor();
});

test('drained: the text ends, and the tokens are counted', async () => {
  await using provider = await Provider.start();
  await using hub = await Hub.start(provider.flags);
  provider.answer = { words: words(30), holdAfter: 10 };
  await using tab = await chromium.open(hub.address + '#/runs');
  await ask(tab, 'Count');
  await expect.poll(() => text(tab)).toBe(said(10));
  await tab.page.getByRole('button', { name: 'Drain …' }).click();
  await tab.page.getByRole('button', { name: 'Drain it' }).click();
  await expect.poll(() => badge(tab).textContent()).toMatch(/^(Ending, tokens are counted|Stopped)$/);
  provider.release();
  await expect.poll(() => badge(tab).textContent()).toBe('Stopped');
  await tab.page.getByText('7 in, 30 out').waitFor();
  expect(await text(tab)).toBe(said(10));
});

test('the list is filtered and paged, by addresses that can be shared', async () => {
  await using provider = await Provider.start();
  await using hub = await Hub.start(provider.flags);
  provider.answer = { words: ['x'] };
  for (let at = 0; at < 60; at++) {
    const body = { provider: 'local', topic: at === 7 ? 'chats/7' : `chats/many-${at}`, request: { model: `m${at}`, messages: [] } };
    await hub.fetch('runs', { method: 'POST', body: JSON.stringify(body) });
  }
  await until('all have ended', async () => ((await (await hub.fetch('runs?status=completed&limit=100')).json()) as { runs: unknown[] }).runs.length === 60);
  await using tab = await chromium.open(hub.address + '#/runs');
  const { page } = tab;
  const rows = page.getByRole('row', { name: /chats/ });
  await expect.poll(() => rows.count()).toBe(50);
  await page.getByRole('button', { name: 'Older' }).click();
  await expect.poll(() => rows.count()).toBe(10);
  await page.reload();
  await expect.poll(() => rows.count()).toBe(10);
  await page.getByRole('button', { name: 'Newest' }).click();
  await page.getByRole('textbox', { name: 'Of topic' }).fill('chats/7');
  await page.getByRole('button', { name: 'Show', exact: true }).click();
  await expect.poll(() => rows.count()).toBe(1);
  await page.goBack();
  await expect.poll(() => rows.count()).toBe(50);
  await page.getByRole('combobox', { name: 'Status' }).selectOption('failed');
  await page.getByRole('heading', { name: 'No such run' }).waitFor();
});

test('no relay: no entry in the navigation, and the address teaches how to switch it on', async () => {
  await using hub = await Hub.start();
  await using tab = await chromium.open(hub.address + '#/runs');
  await tab.page.getByRole('heading', { name: 'This hub relays no language model' }).waitFor();
  expect(await tab.page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: 'Runs' }).count()).toBe(0);
  await tab.page.getByText('gapless --relay openai').waitFor();
});

test('an answer is text, whatever is in it', async () => {
  await using provider = await Provider.start();
  await using hub = await Hub.start(provider.flags);
  provider.answer = {
    words: ['<img src=x onerror="document.title=1">', '<script>document.title=2</script>', ' \u202egnp.exe ', '[x](javascript:alert(1))', '\u0000', ' end'],
    tool: { name: '<b>f</b>', arguments: ['{"a":', '"</code><i>"}'] },
  };
  await using tab = await chromium.open(hub.address + '#/runs');
  await ask(tab, '<b>bold</b>\u202e');
  await expect.poll(() => text(tab)).toContain(' end');
  expect(await text(tab)).toContain('<script>document.title=2</script> \\u{202E}gnp.exe');
  expect(await tab.page.locator('main :is(img, script, b b, i)').count()).toBe(0);
  expect(await tab.page.getByRole('group', { name: 'You' }).textContent()).toBe('<b>bold</b>\\u{202E}');
  expect(await tab.page.getByText('<b>f</b>({"a":"</code><i>"})').count()).toBe(1);
  expect(await tab.page.title()).toBe('Completed: gpt-5-mini · gapless');
});

test('100,000 words at once neither freeze the page nor are lost', async () => {
  await using provider = await Provider.start();
  await using hub = await Hub.start(provider.flags);
  provider.answer = { words: Array.from({ length: 100_000 }, (_, at) => (at % 12 === 11 ? '\n' : `w${at} `)) };
  await using tab = await chromium.open(hub.address + '#/runs');
  await tab.page.evaluate(() => {
    const frames = { longest: 0, last: performance.now() };
    (window as never as { frames: typeof frames }).frames = frames;
    const frame = () => {
      const now = performance.now();
      frames.longest = Math.max(frames.longest, now - frames.last);
      frames.last = now;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  await ask(tab, 'Much');
  await expect.poll(() => badge(tab).textContent(), { timeout: 60_000 }).toBe('Completed');
  expect((await text(tab)).length).toBe(provider.answer.words.join('').trim().length);
  const longest = await tab.page.evaluate(() => (window as never as { frames: { longest: number } }).frames.longest);
  console.log('longest frame, ms:', Math.round(longest));
  expect(longest).toBeLessThan(1500);
}, 120_000);

test('a token without the relay is offered no playground, one without rights no Stop', async () => {
  await using provider = await Provider.start();
  await using hub = await Hub.start(provider.flags);
  await using tab = await chromium.open(hub.address + '#/runs');
  const run = await ask(tab, 'Hello');
  await tab.page.route('**/whoami', async (route) => {
    const response = await route.fetch();
    const who = (await response.json()) as Record<string, unknown>;
    await route.fulfill({ response, json: { ...who, authentication: 'token', holder: 'reader', admin: false, models: [], relay: { providers: [] } } });
  });
  await tab.page.reload();
  await expect.poll(() => text(tab)).toBe('Hello world.');
  expect(await tab.page.getByRole('button', { name: /Stop|Delete|Drain|Ask/ }).count()).toBe(0);
  expect(run).toMatch(/^run_/);
});

test('axe finds nothing, in both themes, wide and narrow', async () => {
  await using provider = await Provider.start();
  await using hub = await Hub.start(provider.flags);
  for (const viewport of [undefined, NARROW]) {
    for (const colorScheme of ['light', 'dark'] as const) {
      await using tab = await chromium.open(hub.address + '#/runs', { colorScheme, ...(viewport ? { viewport } : {}) });
      await tab.page.getByRole('textbox', { name: 'Prompt' }).waitFor();
      expect(await tab.axe()).toEqual([]);
      provider.answer = { thoughts: ['Hm.'], words: words(50), holdAfter: 40 };
      await ask(tab, 'Count');
      await expect.poll(() => text(tab)).toBe(said(40));
      expect(await tab.axe()).toEqual([]);
      expect(await tab.spills()).toEqual([]);
      provider.release();
      await expect.poll(() => badge(tab).textContent()).toBe('Completed');
      await tab.page.getByRole('button', { name: 'Delete …' }).click();
      expect(await tab.axe()).toEqual([]);
      await tab.page.getByRole('button', { name: 'Cancel' }).click();
      await tab.page.getByRole('link', { name: 'Back to the list' }).click();
      await tab.page.getByRole('row').nth(1).waitFor();
      expect(await tab.axe()).toEqual([]);
      expect(await tab.spills()).toEqual([]);
    }
  }
});
