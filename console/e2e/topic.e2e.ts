// The page of one topic: its events page by page, its settings with their cost, publishing, taking back, deleting.
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Chromium, type Tab } from './support/browser';
import { Hub, until } from './support/hub';

let chromium: Chromium;
beforeAll(async () => {
  chromium = await Chromium.launch();
});
afterAll(async () => {
  await chromium[Symbol.asyncDispose]();
});

interface Row {
  name: string | null;
  data: string;
  id: string;
}

const list = ({ page }: Tab) => page.getByRole('list', { name: 'Events' });

/** The events that are shown, from the top. */
const rows = (tab: Tab): Promise<Row[]> =>
  tab.page.evaluate(() =>
    [...document.querySelectorAll('[aria-label=Events] > li > button')].map((row) => ({
      name: row.querySelector('.event-name')?.textContent ?? null,
      data: row.querySelector('.event-data')!.textContent!,
      id: row.querySelector('.event-id')!.textContent!,
    })),
  );
const data = async (tab: Tab) => (await rows(tab)).map((row) => row.data);

/** Publishes `count` events in one commit, and returns their ids. */
async function publishMany(hub: Hub, topic: string, count: number, from = 0): Promise<string[]> {
  const events = Array.from({ length: count }, (_, n) => ({ topic, data: `event ${from + n}` }));
  const response = await hub.fetch('publish', { method: 'POST', body: JSON.stringify(events) });
  return ((await response.json()) as { events: { id: string }[] }).events.map(({ id }) => id);
}

const numbered = (from: number, to: number) => Array.from({ length: from - to + 1 }, (_, n) => `event ${from - n}`);
const receipt = ({ page }: Tab) => page.getByRole('form', { name: 'Publish' }).getByRole('status');
const state = async (hub: Hub, topic: string) => (await (await hub.fetch('topics/' + topic)).json()) as Record<string, unknown>;

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
    const opened = () => page.getByRole('button', { expanded: true }).locator('.event-data').allTextContents();
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
    expect(await page.locator('[data-sought=true] .event-data').textContent()).toBe('event 0');
    await go('2 h');
    await expect.poll(() => new URL(page.url()).hash).toMatch(/^#\/topics\/story\?since=20/);
    await expect.poll(() => data(tab)).toEqual(numbered(24, 0));
    await go('2099-01-01');
    await page.getByText('No kept event is that new').waitFor();
    await go(ids[0]!.replace(/\d+$/, '999999'));
    await page.getByText('This topic keeps no event').waitFor();
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
    const command = (await page.locator('.event-open code').textContent())!;
    const read = await fetch(/'(http[^']+)'/.exec(command)![1]!, { headers: { Accept: 'application/json' } });
    expect(((await read.json()) as { events: { id: string }[] }).events.map((event) => event.id)).toEqual([id]);
    await list(tab).getByRole('button', { name: '{"n":1' }).click();
    await list(tab).getByRole('button', { name: 'xxx' }).click();
    expect((await text.textContent())!.length).toBe(100_000);
    await page.getByRole('button', { name: 'Show all of it' }).click();
    expect((await text.textContent())!.length).toBe(1_000_000);
    expect(await tab.spills()).toBe(false);
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

  it('are taken back, after a question', async () => {
    await using hub = await Hub.start();
    const id = await hub.publish('notices', 'a secret');
    await hub.publish('notices', 'another');
    await using tab = await chromium.open(hub.address + '#/topics/notices');
    const { page } = tab;
    await list(tab).getByRole('button', { name: 'a secret' }).click();
    await page.getByRole('button', { name: 'Take back' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Keep it' }).click();
    expect(await hub.kept('notices')).toEqual(['a secret', 'another']);
    await page.getByRole('button', { name: 'Take back' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Take back' }).click();
    await expect.poll(() => data(tab)).toEqual([`${id} was removed`, 'another', 'Removed']);
    expect((await hub.kept('notices')).join()).not.toContain('secret');
    expect(await page.getByText('a secret').count()).toBe(0);
  });
});

describe('publishing', () => {
  it('says in words what came of it', async () => {
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

  it('goes to the topic that the form names, and the receipt goes away with its subject', async () => {
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

  it('does not say what it cannot know, and again doubles nothing', async () => {
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
    await page.getByRole('alert').filter({ hasText: 'The hub cannot be reached' }).waitFor();
    await hub.again();
    await page.getByText('The hub is back. If the list does not show the event').waitFor();
    await again.click();
    await expect.poll(() => data(tab)).toEqual(['fifth', 'fourth', 'second', 'first']);
    expect(await hub.kept('story')).toEqual(['first', 'second', 'fourth', 'fifth']);
  });

  it('does not say that a hub is back that was never away', async () => {
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
});

describe('the settings of a topic', () => {
  it('tell what they will remove, and the events go', async () => {
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

  it('close and reopen it, and say whom that concerns', async () => {
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

  it('delete it when its name is typed', async () => {
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

  it('are not offered to who may not change them', async () => {
    const token = 'reader-token-of-the-topics-tests';
    const admin = 'admin-token-of-the-topics-tests';
    const hash = (text: string) => createHash('sha256').update(text).digest('hex');
    const tokens = `[{ name = "ops", sha256 = "${hash(admin)}", publish = ["**"], subscribe = ["**"], admin = true }, { name = "reader", sha256 = "${hash(token)}", publish = ["drop"], subscribe = ["news"] }]`;
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
    for (const name of ['Take back', 'Delete…', 'Close the topic…', 'Save', 'Publish']) expect(await page.getByRole('button', { name, exact: true }).count()).toBe(0);
    expect(await page.getByLabel('Most events').count()).toBe(0);
    await tab.go('#/topics/drop');
    await page.getByText('may not read its events').waitFor();
    expect(await page.getByRole('button', { name: 'Publish', exact: true }).count()).toBe(1);
    expect(await page.getByRole('link', { name: 'Watch live' }).count()).toBe(0);
    await tab.go('#/topics/hidden');
    await page.getByRole('button', { name: 'Give a token' }).waitFor();
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
  expect(await tab.spills()).toBe(false);
});

describe('for everybody', () => {
  it.each(['light', 'dark'] as const)('axe finds nothing, and nothing spills: %s', async (colorScheme) => {
    await using hub = await Hub.start();
    const check = async (tab: Tab, what: string) => {
      expect(await tab.axe(), what).toEqual([]);
      for (const width of [360, 1600, 390]) {
        await tab.page.setViewportSize({ width, height: 800 });
        expect(await tab.spills(), `${what} at ${width} px`).toBe(false);
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
