// The page of one topic: its events page by page, and what stands in them.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Chromium, type Tab } from './support/browser';
import { Hub } from './support/hub';
import { data, list, numbered, publishMany, rows } from './support/topic';

let chromium: Chromium;
beforeAll(async () => {
  chromium = await Chromium.launch();
});
afterAll(async () => {
  await chromium[Symbol.asyncDispose]();
});

describe('the events of a topic', () => {
  it('are read page by page, and a link shows the same page', async () => {
    await using hub = await Hub.start();
    const ids = await publishMany(hub, 'jobs/42', 130);
    await using tab = await chromium.open(hub.address + '#/topics/jobs/42');
    const { page } = tab;
    await expect.poll(() => data(tab)).toEqual(numbered(129, 80));
    expect(await page.getByRole('link', { name: 'Newer' }).count()).toBe(0);
    await page.getByRole('link', { name: 'Older' }).first().click();
    await expect.poll(() => data(tab)).toEqual(numbered(79, 30));
    expect(page.url()).toBe(`${hub.address}#/topics/jobs/42?before=${ids[80]}`);
    const link = page.url();
    await page.getByRole('link', { name: 'Older' }).first().click();
    await expect.poll(() => data(tab)).toEqual(numbered(29, 0));
    expect(await page.getByRole('link', { name: 'Older' }).count()).toBe(0);
    await page.getByRole('link', { name: 'Newer' }).first().click();
    await expect.poll(() => data(tab)).toEqual(numbered(79, 30));
    await page.goBack();
    await expect.poll(() => data(tab)).toEqual(numbered(29, 0));
    await page.getByRole('link', { name: 'Newest' }).first().click();
    await expect.poll(() => data(tab)).toEqual(numbered(129, 80));

    await publishMany(hub, 'jobs/42', 1, 130);
    await using shared = await chromium.open(link);
    await expect.poll(() => data(shared)).toEqual(numbered(79, 30));
    // The newest page follows by itself.
    await expect.poll(() => data(tab)).toEqual(numbered(130, 81));
  });

  it('are found by an id, its number, a time and an age', async () => {
    await using hub = await Hub.start();
    const ids = await publishMany(hub, 'story', 100);
    const page1 = (await (await hub.fetch('events?topic=story&from=earliest&limit=1', { headers: { Accept: 'application/json' } })).json()) as { events: { time: string }[] };
    await using tab = await chromium.open(hub.address + '#/topics/story');
    const { page } = tab;
    const go = async (text: string) => {
      await page.getByLabel('Go to an id or a time').fill(text);
      await page.getByRole('button', { name: 'Go' }).click();
    };
    const opened = () => page.getByRole('button', { expanded: true }).locator('.topic-event-data').allTextContents();
    await go(ids[40]!);
    await expect.poll(() => data(tab)).toEqual(numbered(64, 15));
    await expect.poll(opened).toEqual(['event 40']);
    expect(page.url()).toBe(`${hub.address}#/topics/story?at=${ids[40]}`);
    await go(ids[3]!.split('-')[1]!);
    await expect.poll(opened).toEqual(['event 3']);
    expect(await data(tab)).toEqual(numbered(27, 0));
    await go(page1.events[0]!.time);
    await expect.poll(() => page.getByRole('heading', { name: 'Around a time' }).count()).toBe(1);
    await expect.poll(() => data(tab)).toEqual(numbered(24, 0));
    expect(await page.locator('[data-sought=true] .topic-event-data').textContent()).toBe('event 0');
    await go('2 h');
    await expect.poll(() => new URL(page.url()).hash).toMatch(/^#\/topics\/story\?since=20/);
    await expect.poll(() => data(tab)).toEqual(numbered(24, 0));
    await go('2099-01-01');
    await page.getByText('No kept event is that new').waitFor();
    await go(ids[0]!.replace(/\d+$/, '999999'));
    await page.getByText('This topic keeps no event').waitFor();
    await tab.go('#/topics/story?after=another1-5');
    await page.getByText('Gap: The id another1-5 is of another store').waitFor();
    await go('yesterday or so');
    await page.getByRole('alert').filter({ hasText: 'neither an id' }).waitFor();
  });

  it('open to all of their data, readable and to be copied', async () => {
    await using hub = await Hub.start();
    const id = await hub.publish('story', '{"n":1,"list":[true]}', '&event=step');
    await hub.publish('story', 'x'.repeat(1_000_000));
    await using tab = await chromium.open(hub.address + '#/topics/story', { permissions: ['clipboard-read', 'clipboard-write'] });
    const { page } = tab;
    await list(tab).getByRole('button', { name: '{"n":1' }).click();
    const text = page.getByLabel('Content');
    expect(await text.textContent()).toBe('{\n  "n": 1,\n  "list": [\n    true\n  ]\n}');
    await page.getByRole('button', { name: 'Pretty JSON' }).click();
    expect(await text.textContent()).toBe('{"n":1,"list":[true]}');
    await page.getByRole('button', { name: 'Copy data' }).click();
    await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toBe('{"n":1,"list":[true]}');
    await page.getByRole('button', { name: 'Copy link' }).click();
    await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toBe(`${hub.address}#/topics/story?at=${id}`);
    // The command reads this event and no other.
    const command = (await page.locator('.topic-event-open code').textContent())!;
    const read = await fetch(/'(http[^']+)'/.exec(command)![1]!, { headers: { Accept: 'application/json' } });
    expect(((await read.json()) as { events: { id: string }[] }).events.map((event) => event.id)).toEqual([id]);
    await list(tab).getByRole('button', { name: '{"n":1' }).click();
    await list(tab).getByRole('button', { name: 'xxx' }).click();
    expect((await text.textContent())!.length).toBe(100_000);
    await page.getByRole('button', { name: 'Show all of it' }).click();
    expect((await text.textContent())!.length).toBe(1_000_000);
    expect(await tab.spills()).toEqual([]);
  });

  it('do not move away under a reader', async () => {
    await using hub = await Hub.start();
    await publishMany(hub, 'story', 3);
    await using tab = await chromium.open(hub.address + '#/topics/story');
    const { page } = tab;
    await list(tab).getByRole('button', { name: 'event 0' }).click();
    await publishMany(hub, 'story', 1, 3);
    await page.getByRole('button', { name: 'Show newer events' }).waitFor();
    expect(await data(tab)).toEqual(numbered(2, 0));
    await page.getByRole('button', { name: 'Show newer events' }).click();
    await expect.poll(() => data(tab)).toEqual(numbered(3, 0));
  });

  it('are removed, after a question', async () => {
    await using hub = await Hub.start();
    const id = await hub.publish('notices', 'a secret');
    await hub.publish('notices', 'another');
    await using tab = await chromium.open(hub.address + '#/topics/notices');
    const { page } = tab;
    await list(tab).getByRole('button', { name: 'a secret' }).click();
    await page.getByRole('button', { name: 'Remove', exact: true }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Keep it' }).click();
    expect(await hub.kept('notices')).toEqual(['a secret', 'another']);
    await page.getByRole('button', { name: 'Remove', exact: true }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove', exact: true }).click();
    await expect.poll(() => data(tab)).toEqual([`${id} was removed`, 'another', 'Removed']);
    expect((await hub.kept('notices')).join()).not.toContain('secret');
    expect(await page.getByText('a secret').count()).toBe(0);
  });
});

/** Text that would be more than text in a page that is careless with it. */
const HOSTILE = ['<img src=x onerror="window.pwned=1">', '<script>window.pwned=1</script>', '"\'><svg onload=window.pwned=1>', '\u202e</li></ol><style>*{display:none}</style>', '{"broken": \u0000'];

it('hostile names and data stay text', async () => {
  await using hub = await Hub.start();
  const topic = 'x/' + HOSTILE[0]!.replaceAll('/', '');
  await hub.publishAll(HOSTILE.map((data) => ({ topic, data, event: HOSTILE[2]! })));
  await hub.publish('javascript:alert(1)', HOSTILE[3]!);
  await using tab = await chromium.open(hub.address + '#/topics');
  const { page } = tab;
  await page.getByRole('link', { name: topic }).click();
  await expect.poll(() => page.getByRole('heading', { level: 1 }).textContent()).toBe(topic);
  await expect.poll(() => page.title()).toBe(topic + ' · gapless');
  const visible = HOSTILE.map((text) => text.replace('\u202e', '\\u{202E}').replace('\u0000', '\\u{0000}'));
  await expect.poll(() => rows(tab)).toEqual([...visible].reverse().map((data) => expect.objectContaining({ data, name: HOSTILE[2] })));
  const closed = list(tab).getByRole('button', { expanded: false });
  while (await closed.count()) await closed.first().click();
  await page.getByRole('button', { name: 'Delete…' }).click();
  await page.getByRole('button', { name: 'Keep it' }).click();
  await tab.go('#/topics/javascript:alert(1)');
  await expect.poll(() => page.getByRole('heading', { level: 1 }).textContent()).toBe('javascript:alert(1)');
  for (const text of HOSTILE) {
    await tab.go('#/topics?' + new URLSearchParams({ search: text }));
    await tab.go('#/topics/' + encodeURIComponent(text));
    await page.getByRole('heading', { level: 1 }).waitFor();
  }
  expect(await page.evaluate(() => (window as { pwned?: number }).pwned ?? null)).toBeNull();
  expect(await page.evaluate(() => document.querySelectorAll('main :is(img, script, svg, style)').length)).toBe(0);
  expect(await tab.spills()).toEqual([]);
});

describe('for everybody', () => {
  it.each(['light', 'dark'] as const)('axe finds nothing, and nothing spills: %s', async (colorScheme) => {
    await using hub = await Hub.start();
    const check = async (tab: Tab, what: string) => {
      expect(await tab.axe(), what).toEqual([]);
      for (const width of [360, 800, 1600, 390]) {
        await tab.page.setViewportSize({ width, height: 800 });
        expect(await tab.spills(), `${what} at ${width} px`).toEqual([]);
        // The table clips what is too wide for it.
        const cut = await tab.page.evaluate(() => [...document.querySelectorAll('[role=table], [role=row]')].some((part) => part.clientWidth > 1 && part.scrollWidth > part.clientWidth));
        expect(cut, `columns of ${what} at ${width} px`).toBe(false);
      }
      expect(await tab.axe(), what + ', narrow').toEqual([]);
      await tab.page.setViewportSize({ width: 1440, height: 900 });
    };
    await using tab = await chromium.open(hub.address + '#/topics', { colorScheme, reducedMotion: 'reduce' });
    const { page } = tab;
    await page.getByRole('heading', { name: 'No topics yet' }).waitFor();
    await check(tab, 'no topics');
    await publishMany(hub, 'a/' + 'long-name'.repeat(20), 60);
    await hub.publish('b', '{"n":1}', '&event=' + 'e'.repeat(200) + '&close=true');
    await page.getByRole('link', { name: 'b', exact: true }).waitFor();
    await check(tab, 'a list');
    await tab.go('#/topics?search=nothing');
    await page.getByRole('heading', { name: 'Nothing found' }).waitFor();
    await check(tab, 'nothing found');
    await tab.go('#/topics/b');
    await list(tab).getByRole('button').click();
    await check(tab, 'a closed topic');
    await tab.go('#/topics/a/' + 'long-name'.repeat(20));
    await list(tab).getByRole('button').first().click();
    await page.getByLabel('Most events').fill('5');
    await page.getByText('Removes 55 events').waitFor();
    await check(tab, 'a topic');
    await page.getByRole('button', { name: 'Delete…' }).click();
    await check(tab, 'a question');
  });
});
