// The list of topics: searched by the server, loaded while one scrolls, in few rows.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Chromium, NARROW, type Tab } from './support/browser';
import { Hub } from './support/hub';

let chromium: Chromium;
beforeAll(async () => {
  chromium = await Chromium.launch();
});
afterAll(async () => {
  await chromium[Symbol.asyncDispose]();
});

/** The names of the topics that are in rows now. */
const shown = ({ page }: Tab): Promise<string[]> => page.getByRole('table', { name: 'Topics' }).getByRole('link').allTextContents();
const rows = ({ page }: Tab): Promise<number> => page.getByRole('row').count();
const topics = (names: string[]) => names.map((topic) => ({ topic, data: 'x' }));

describe('the list of topics', () => {
  it('teaches an empty hub, and leads to the first event by clicks alone', async () => {
    await using hub = await Hub.start();
    await using tab = await chromium.open(hub.address + '#/topics');
    const { page } = tab;
    await page.getByRole('heading', { name: 'No topics yet' }).waitFor();
    expect(await page.getByText('curl').textContent()).toBe(`curl -d Hello '${hub.address}publish?topic=demo'`);
    await page.getByRole('button', { name: 'Publish', exact: true }).click();
    await page.getByRole('heading', { name: 'demo' }).waitFor();
    await expect.poll(() => page.getByRole('list', { name: 'Events' }).getByRole('button').allTextContents()).toEqual([expect.stringContaining('Hello')]);
    expect(page.url()).toBe(hub.address + '#/topics/demo');
    await expect.poll(() => page.title()).toBe('demo · gapless');
    await page.getByRole('link', { name: 'The whole list' }).click();
    await expect.poll(() => shown(tab)).toEqual(['demo']);
    await expect.poll(() => page.title()).toBe('Topics · gapless');
  });

  it('shows the figures of each topic, and new ones by itself', async () => {
    await using hub = await Hub.start();
    await hub.publish('a/log', 'four');
    await hub.fetch('topics/a/log', { method: 'PUT', body: '{"retention":{"max_events":1000,"max_age":"7d"},"closed":true}' });
    const { last_id } = (await (await hub.fetch('topics/a/log')).json()) as { last_id: string };
    await using tab = await chromium.open(hub.address + '#/topics');
    const row = tab.page.getByRole('row', { name: 'a/log' });
    await expect.poll(() => row.getByRole('cell').allTextContents()).toEqual(['a/logclosed', '1', '4 B', last_id, last_id, '0', '1,000 events, 7d']);
    await hub.publish('b', 'x');
    await expect.poll(() => shown(tab)).toEqual(['a/log', 'b']);
    await hub.fetch('topics/a/log', { method: 'DELETE' });
    await expect.poll(() => shown(tab)).toEqual(['b']);
  });

  it('is searched by the server, and the search is in the address', async () => {
    await using hub = await Hub.start();
    await hub.publishAll(topics(['jobs/1/log', 'jobs/2/Log', 'jobs/2/tokens', 'news']));
    await using tab = await chromium.open(hub.address + '#/topics');
    const { page } = tab;
    await expect.poll(() => shown(tab)).toHaveLength(4);
    const asked: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    const box = page.getByRole('searchbox', { name: 'Search topics' });
    await box.pressSequentially('LOG');
    await expect.poll(() => shown(tab)).toEqual(['jobs/1/log', 'jobs/2/Log']);
    expect(page.url()).toBe(hub.address + '#/topics?search=LOG');
    expect(asked.filter((url) => /search=LO?(&|$)/.test(url))).toEqual([]);
    // The box keeps the focus and what is typed in it, also by someone who types slower than it waits.
    await box.press('Control+A');
    await box.pressSequentially('jobs/2', { delay: 300 });
    await expect.poll(() => shown(tab)).toEqual(['jobs/2/Log', 'jobs/2/tokens']);
    expect(await box.inputValue()).toBe('jobs/2');
    expect(await box.evaluate((box) => box === document.activeElement)).toBe(true);

    await using shared = await chromium.open(hub.address + '#/topics?search=s/2');
    await expect.poll(() => shown(shared)).toEqual(['jobs/2/Log', 'jobs/2/tokens']);
    expect(await shared.page.getByRole('searchbox').inputValue()).toBe('s/2');

    await page.getByRole('searchbox').fill('no such thing');
    await page.getByRole('heading', { name: 'Nothing found' }).waitFor();
    await page.getByRole('link', { name: 'Show the whole list' }).click();
    await expect.poll(() => shown(tab)).toHaveLength(4);
    expect(await page.getByRole('searchbox').inputValue()).toBe('');
  });

  it('has 20,000 topics in few rows', async () => {
    await using hub = await Hub.start();
    for (let n = 0; n < 20_000; n += 5000) {
      await hub.publishAll(topics(Array.from({ length: 5000 }, (_, at) => `jobs/${String(n + at).padStart(5, '0')}/log`)));
    }
    await using tab = await chromium.open(hub.address + '#/topics');
    const { page } = tab;
    await expect.poll(() => shown(tab)).toContain('jobs/00000/log');
    // The longest time between two frames while the whole list is scrolled through as it loads, and the most rows in the page.
    const seen = await page.evaluate(async () => {
      let longest = 0;
      let most = 0;
      let before = performance.now();
      const deadline = before + 60_000;
      for (;;) {
        scrollTo(0, document.documentElement.scrollHeight);
        await new Promise(requestAnimationFrame);
        const now = performance.now();
        longest = Math.max(longest, now - before);
        before = now;
        most = Math.max(most, document.querySelectorAll('[role=row]').length);
        if (document.body.textContent!.includes('20,000 topics') || now > deadline) return { longest, most };
      }
    });
    console.log('20,000 topics: longest frame', Math.round(seen.longest), 'ms, most rows', seen.most);
    expect(seen.most).toBeLessThan(80);
    await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
    await expect.poll(() => shown(tab)).toContain('jobs/19999/log');
    expect(await page.getByRole('table').getAttribute('aria-rowcount')).toBe('20001');

    // In the middle of the list, to a topic and back.
    await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight / 2));
    await page.getByRole('link', { name: 'jobs/10000/log' }).click();
    await page.getByRole('heading', { name: 'jobs/10000/log' }).waitFor();
    expect(await page.evaluate(() => scrollY)).toBe(0);
    await page.goBack();
    await expect.poll(() => shown(tab)).toContain('jobs/10000/log');
    expect(await page.getByRole('link', { name: 'jobs/10000/log' }).isVisible()).toBe(true);

    await page.evaluate(() => scrollTo(0, 0));
    await page.getByRole('searchbox').fill('/1234');
    await expect.poll(() => shown(tab)).toEqual(Array.from({ length: 10 }, (_, n) => `jobs/1234${n}/log`));
    expect(await rows(tab)).toBe(11);
  });

  it('is loaded by "More", too, and by the keyboard alone', async () => {
    await using hub = await Hub.start();
    await hub.publishAll(topics(Array.from({ length: 1200 }, (_, n) => `t/${String(n).padStart(4, '0')}`)));
    await using tab = await chromium.open(hub.address + '#/topics', { viewport: NARROW });
    const { page } = tab;
    await page.getByText('500 loaded').waitFor();
    await page.getByRole('button', { name: 'More' }).focus();
    await page.keyboard.press('Enter');
    await page.getByText(/^(1,000 loaded|1,200 topics)$/).waitFor();
    await page.evaluate(() => scrollTo(0, 0));
    await page.getByRole('link', { name: 't/0000' }).focus();
    for (let n = 0; n < 60; n++) await page.keyboard.press('Tab');
    await expect.poll(() => page.evaluate(() => document.activeElement?.textContent)).toBe('t/0060');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 't/0060' }).waitFor();
  });

  it('says that the hub is away, keeps what is shown, and goes on', async () => {
    await using hub = await Hub.start();
    await hub.publish('a', 'x');
    await using tab = await chromium.open(hub.address + '#/topics');
    await expect.poll(() => shown(tab)).toEqual(['a']);
    await hub.kill();
    await tab.page.getByRole('alert').filter({ hasText: 'The hub cannot be reached' }).waitFor();
    expect(await shown(tab)).toEqual(['a']);
    await hub.again();
    await expect.poll(() => tab.page.getByRole('alert').count()).toBe(0);
    // A list that could not be begun begins by itself.
    await hub.kill();
    await tab.go('#/topics?search=A');
    await tab.page.getByRole('alert').filter({ hasText: 'The hub cannot be reached' }).waitFor();
    await hub.again();
    await expect.poll(() => shown(tab)).toEqual(['a']);
  });
});
