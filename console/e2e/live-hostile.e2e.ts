// Text of strangers, long and odd; a site of someone else; and what axe says.
import { expect, test } from 'vitest';
import { Chromium, NARROW, WIDE } from './support/browser';
import { Hub, PATIENCE } from './support/hub';
import { list, rowTexts, says, sees } from './support/live';
import { Proxy } from './support/proxy';

const poll = <T>(value: () => T) => expect.poll(value, { timeout: PATIENCE });

/** Text that would be more than text in a page that is careless with it, and how it is shown. */
const HOSTILE: [string, string][] = [
  ['<img src=x onerror="window.pwned=1">', '<img src=x onerror="window.pwned=1">'],
  ['<script>window.pwned=1</script>', '<script>window.pwned=1</script>'],
  ['"\'><svg onload=window.pwned=1>', '"\'><svg onload=window.pwned=1>'],
  ['\u202e</div><style>*{display:none}</style>', '\\u{202E}</div><style>*{display:none}</style>'],
  ['a\u0000b', 'a\\u{0000}b'],
  ['two\nlines', 'two ⏎ lines'],
  ['{"broken": [1, 2', '{"broken": [1, 2'],
  ['{"html":"<b>\u2066x</b>","nul":"\\u0000"}', '{"html":"<b>\\u{2066}x</b>","nul":"\\u0000"}'],
  ['', ''],
];

test.each(['text', 'json', 'kinds'])('hostile data, names and topics stay text: %s', async (view) => {
  await using hub = await Hub.start();
  const topic = `x/${HOSTILE[0]![0].replaceAll('/', '')}`;
  await hub.publishAll(HOSTILE.map(([data], at) => ({ topic, data, event: HOSTILE[at % 3]![0] })));
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(`${hub.address}#/live?topic=x/**&from=earliest&view=${view}`, { viewport: { width: 1440, height: 2400 } });
  const { page } = tab;
  await says(page, /^Live$/);
  if (view === 'text') {
    await sees(page, HOSTILE.map(([, shown], at) => `${topic} ${HOSTILE[at % 3]![0]} ${shown}`));
    // Each in detail, too.
    for (let at = 0; at < HOSTILE.length; at++) {
      await list(page).getByRole('row').nth(at).click();
      await page.getByRole('region', { name: 'Event details' }).waitFor();
    }
  } else if (view === 'json') {
    await poll(() => list(page).innerText()).toContain('"html": "<b>\\u{2066}x</b>"');
  } else {
    await poll(() => page.getByRole('main').innerText()).toContain('<script>');
  }
  expect(await page.evaluate(() => (window as unknown as { pwned?: number }).pwned ?? null)).toBe(null);
  expect(await page.locator('main').locator('img, script, svg, style').count()).toBe(0);
});

test('a line of a megabyte', async () => {
  await using hub = await Hub.start();
  const long = 'x'.repeat(1_000_000);
  await hub.publish('long', long);
  await hub.publish('long', JSON.stringify({ long, after: 1, and: 2 }));
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(`${hub.address}#/live?topic=long&from=earliest&view=text`);
  const { page } = tab;
  await poll(async () => (await rowTexts(page)).length).toBe(3);
  expect((await rowTexts(page))[0]!.length).toBeLessThan(700);
  expect(await tab.spills()).toEqual([]);
  await page.getByRole('button', { name: 'Pretty JSON' }).click();
  await poll(() => list(page).innerText()).toContain('"after": 1');
  await list(page).getByRole('row').first().click();
  const details = page.getByRole('region', { name: 'Event details' });
  await details.getByRole('button', { name: 'Show all 977 KiB' }).click();
  await poll(async () => (await details.getByLabel('Data').textContent())!.length).toBe(1_000_000);
  expect(await tab.spills()).toEqual([]);
});

test('below a path of a proxy', async () => {
  await using hub = await Hub.start(['--stream-retry', '300ms']);
  await using proxy = await Proxy.start('/hub/', hub.address);
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(proxy.address);
  const { page } = tab;
  await page.getByRole('link', { name: 'Live' }).click();
  await page.getByRole('button', { name: 'Watch', exact: true }).click();
  await page.getByText(`curl -d Hello '${proxy.address}publish?topic=demo'`).waitFor();
  await page.getByRole('button', { name: 'Publish “Hello” to demo' }).click();
  await sees(page, ['Hello']);
  await page.getByRole('button', { name: 'Cut the connection' }).click();
  await poll(() => page.getByRole('status', { name: 'Result of the cut' }).textContent()).toContain('missed 0, twice 0');
});

test.each([
  ['light', WIDE],
  ['dark', WIDE],
  ['light', NARROW],
  ['dark', NARROW],
  ['light', { width: 360, height: 740 }],
] as const)('axe finds nothing in any display, and nothing is wider than the window: %s %o', async (colorScheme, viewport) => {
  await using hub = await Hub.start(['--stream-retry', '300ms']);
  await hub.publishAll(Array.from({ length: 40 }, (_, at) => ({ topic: 'shop/orders', event: 'created', data: { order: at, paid: true, lines: [1, 2], note: null } })));
  await hub.publish('shop/ended', 'the last', '&close=true');
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(`${hub.address}#/live`, { viewport, colorScheme });
  const { page } = tab;
  const check = async (what: string) => {
    expect(await tab.axe(), what).toEqual([]);
    expect(await tab.spills(), what).toEqual([]);
  };
  await page.getByRole('heading', { name: 'See events as they come' }).waitFor();
  await check('the introduction');
  await tab.go('#/live?topic=empty&from=now');
  await page.getByText('No event of empty yet').waitFor();
  await check('nothing yet');
  for (const view of ['text', 'json', 'kinds', 'auto']) {
    await tab.go(`#/live?topic=shop/**&from=earliest&view=${view}`);
    await says(page, /^Live$/);
    await page.getByRole('button', { name: 'Cut the connection' }).click();
    await poll(() => page.getByRole('status', { name: 'Result of the cut' }).textContent()).toContain('missed 0, twice 0');
    if (view !== 'kinds') {
      await list(page).getByRole('row').filter({ hasText: 'created' }).last().click();
      await page.getByRole('region', { name: 'Event details' }).waitFor();
    }
    await check(view);
    await page.keyboard.press('Escape');
  }
  await tab.go('#/live?topic=a//b&from=now');
  await says(page, 'Refused');
  await check('refused');
});
