// Runs and the playground, against a real hub and a provider that is a server of its own.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Chromium, NARROW, type Tab } from './support/browser';
import { Hub, until } from './support/hub';
import { Provider } from './support/provider';

let chromium: Chromium;
beforeAll(async () => {
  chromium = await Chromium.launch();
});
afterAll(async () => {
  await chromium[Symbol.asyncDispose]();
});

const STORY = `The relay stands between your app and a provider of language models. Your app changes one line, the base URL of its SDK; everything else stays as it is.

From then on an answer belongs to the hub, and not to a connection. It is written to disk before anyone sees it. So a reload in the middle of a sentence loses nothing: the page asks for what it has missed, and goes on.

Three things follow from that:

1. Anyone with a grant can watch. A second tab, a colleague, a dashboard: they all see the same words, from the start.
2. It can be stopped from anywhere, and the ending says by whom.
3. It is never paid for twice. A retry joins the answer that there is.

You would want it for anything longer than a moment: agents, reports, long translations. For a classification of ten words, a plain request is enough.`;

const words = (many: number) => Array.from({ length: many }, (_, at) => `w${at} `);
const said = (many: number) => words(many).join('').trim();

/** Asks in the playground, and waits for the run's page. */
async function ask({ page }: Tab, prompt: string, provider = 'local'): Promise<string> {
  await page.getByRole('combobox', { name: 'Provider' }).selectOption(provider);
  await page.getByRole('textbox', { name: 'Prompt' }).fill(prompt);
  const before = page.url();
  await page.getByRole('button', { name: 'Ask' }).click();
  await page.waitForURL((url) => url.href !== before && /#\/runs\/run_/.test(url.hash));
  return page.url().split('#/runs/')[1]!;
}

const answer = ({ page }: Tab) => page.getByRole('group', { name: /^Answer/ });
const text = async (tab: Tab) => ((await answer(tab).textContent()) ?? '').trim();
const badge = ({ page }: Tab) => page.getByRole('article', { name: 'Run' }).getByRole('status');

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
  await tab.page.getByRole('link', { name: 'All runs' }).click();
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
  await page.getByRole('link', { name: 'All runs' }).click();
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
      expect(await tab.spills()).toBe(false);
      provider.release();
      await expect.poll(() => badge(tab).textContent()).toBe('Completed');
      await tab.page.getByRole('button', { name: 'Delete …' }).click();
      expect(await tab.axe()).toEqual([]);
      await tab.page.getByRole('button', { name: 'Cancel' }).click();
      await tab.page.getByRole('link', { name: 'All runs' }).click();
      await tab.page.getByRole('row').nth(1).waitFor();
      expect(await tab.axe()).toEqual([]);
      expect(await tab.spills()).toBe(false);
    }
  }
});

test.skipIf(!process.env.SHOTS)('screenshots', async () => {
  await using provider = await Provider.start();
  await using hub = await Hub.start(provider.flags);
  const story = STORY.match(/\s*\S+/g)!;
  for (const [colorScheme, width, height] of [['light', 1440, 900], ['dark', 1440, 900], ['light', 390, 844], ['dark', 390, 844], ['light', 360, 740], ['light', 1600, 900]] as const) {
    await using tab = await chromium.open(hub.address + '#/runs', { colorScheme, viewport: { width, height } });
    const shot = (name: string) => tab.page.screenshot({ path: `${process.env.SHOTS}/runs-${name}-${width}-${colorScheme}.png`, fullPage: width < 500 });
    await tab.page.getByRole('textbox', { name: 'Prompt' }).waitFor();
    await tab.page.getByText(/No run yet|gpt-5-mini/).first().waitFor();
    await shot('list');
    provider.answer = { thoughts: ['The user asks about the relay. ', 'I describe it in order.'], words: story, pace: 8, holdAfter: 110, tool: { name: 'look_up', arguments: ['{"page":"RELAY"}'] } };
    await ask(tab, 'What is the relay, and why would I want it?');
    await tab.page.getByText(/deltas\/s$/).waitFor();
    await expect.poll(async () => (await text(tab)).length).toBeGreaterThan(550);
    await shot('running');
    provider.release();
    await expect.poll(() => badge(tab).textContent()).toBe('Completed');
    await shot('completed');
    provider.answer = { words: ['Well, '], end: 'error' };
    await ask(tab, 'Fail');
    await tab.page.getByText(/^Failed: .*The model is overloaded\.$/).waitFor();
    await shot('failed');
  }
}, 240_000);
