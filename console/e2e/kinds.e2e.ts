// Events by their kind, in Live: the examples of the repository, media, paper, and what a hostile publisher sends.
import { execFile, spawn } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Chromium } from './support/browser';
import { Hub, until } from './support/hub';
import { PNG, card, toasts, watching, wav } from './support/kinds';
import { Provider } from './support/provider';

const examples = resolve(import.meta.dirname, '../../examples');
const BINARY = process.env.GAPLESS_BIN ?? resolve(import.meta.dirname, '../../target/debug/gapless');
let chromium: Chromium;
beforeAll(async () => {
  chromium = await Chromium.launch();
});
afterAll(async () => {
  await chromium[Symbol.asyncDispose]();
});

async function example(hub: Hub, name: string, ...given: string[]): Promise<void> {
  await promisify(execFile)(join(examples, name), given, { env: { ...process.env, GAPLESS_URL: hub.address.replace(/\/$/, '') } });
}

test('the examples are shown as what they are, by themselves', async () => {
  await using hub = await Hub.start();
  await using tab = await chromium.open(watching(hub, '**', ''));
  const { page } = tab;
  await page.getByText('Live', { exact: true }).first().waitFor();
  await example(hub, 'ai_tokens.py', '7', 'Why?');
  const tokens = card(tab, 'jobs/7/tokens');
  await expect.poll(() => tokens.getByRole('group', { name: 'Answer' }).textContent()).toBe('You asked: Why? The answer is 42. ');
  await expect.poll(() => tokens.getByText('Completed').count()).toBe(1);

  const running = example(hub, 'progress.sh', 'import', '20');
  const bar = card(tab, 'import').getByRole('progressbar');
  await bar.waitFor();
  await expect.poll(() => card(tab, 'import').getByText(/about .* left|a moment left/).count()).toBe(1);
  await running;
  await expect.poll(() => bar.evaluate((element: HTMLProgressElement) => element.value)).toBe(1);
  await card(tab, 'import').getByText(/^done in [\d.]+ s$/).waitFor();
  await card(tab, 'import').getByText('100 %').waitFor();

  await example(hub, 'notifications.sh');
  await card(tab, 'notices/ada').getByText('The disk is 90 % full').waitFor();
  await card(tab, 'notices/ada').getByText('High').waitFor();
  expect(await card(tab, 'notices/bob').getByRole('listitem').count()).toBe(2);
  await expect.poll(() => toasts(tab).count()).toBeGreaterThan(0);

  const directory = mkdtempSync(join(tmpdir(), 'gapless-log-'));
  symlinkSync(resolve(BINARY), join(directory, 'gapless'));
  const file = join(directory, 'app.log');
  writeFileSync(file, '');
  const tail = spawn(join(examples, 'log_tail.sh'), [file, 'logs/app'], {
    env: { ...process.env, PATH: `${directory}:${process.env.PATH}`, GAPLESS_URL: hub.address.replace(/\/$/, '') },
    stdio: 'ignore',
    detached: true,
  });
  try {
    const log = card(tab, 'logs/app').getByRole('group', { name: 'Log of logs/app' });
    // The tail may begin after the first line.
    await until('the log is shown', async () => {
      appendFileSync(file, 'INFO listening on 8080\n');
      return (await log.count()) > 0;
    });
    appendFileSync(file, '2026-11-26T20:42:48Z ERROR no space left on device\nplain line\n');
    await expect.poll(() => log.locator('[data-level=error]').textContent()).toMatch(/error.*no space left on device/);
    await log.locator('[data-level=none]').getByText('plain line').waitFor();
  } finally {
    process.kill(-tail.pid!, 'SIGTERM');
    rmSync(directory, { recursive: true, force: true });
  }
  // Nothing fell back to plain text.
  expect(await page.getByRole('list', { name: 'Events as text' }).count()).toBe(0);
});

test('the chat example: the question, the thoughts, the answer and its end', async () => {
  await using provider = await Provider.start();
  provider.answer = { thoughts: ['Let me', ' see.'], words: ['Because ', 'of Rayleigh ', 'scattering.'], holdAfter: 2 };
  await using hub = await Hub.start([...provider.flags, '--site', join(examples, 'chat')]);
  await using chat = await chromium.open(hub.address);
  await chat.page.goto(hub.address + 'site/?provider=local&dialect=openai&model=tiny-1&chat=sky');
  await chat.page.locator('#text').fill('Why is the sky blue?');
  await chat.page.locator('#send').click();
  await using tab = await chromium.open(watching(hub, 'chats/*', ''));
  const shown = card(tab, 'chats/sky');
  await expect.poll(() => shown.getByRole('group', { name: 'Answer, being written' }).textContent()).toBe('Because of Rayleigh ');
  expect(await shown.getByRole('group', { name: 'You' }).textContent()).toBe('Why is the sky blue?');
  await shown.getByText('Writing').waitFor();
  provider.release();
  await expect.poll(() => shown.getByRole('group', { name: 'Answer' }).textContent()).toBe('Because of Rayleigh scattering.');
  await shown.getByText('Completed').waitFor();
  await shown.getByText('7 tokens in, 3 out').waitFor();
  await shown.getByText('Thoughts').click();
  expect(await shown.getByRole('group', { name: 'Thoughts' }).textContent()).toBe('Let me see.');
  await shown.getByRole('link', { name: 'Run' }).click();
  await expect.poll(() => tab.page.getByRole('article', { name: 'Run' }).getByRole('status').textContent()).toBe('Completed');
});

test('another kind can be chosen, and the choice holds', async () => {
  await using hub = await Hub.start();
  for (const data of ['one', 'two']) await hub.publish('plain', data);
  await using tab = await chromium.open(watching(hub, 'plain'));
  const plain = card(tab, 'plain');
  await plain.getByRole('list', { name: 'Events as text' }).waitFor();
  await plain.getByRole('combobox', { name: 'Show plain as' }).selectOption('Log');
  await expect.poll(() => plain.locator('.kind-log li').count()).toBe(2);
  await hub.publish('plain', 'three');
  await expect.poll(() => plain.locator('.kind-log li').count()).toBe(3);
  await plain.getByRole('combobox').selectOption('Tokens');
  await expect.poll(() => plain.getByRole('group', { name: /Answer/ }).textContent()).toBe('onetwothree');
});

test('a log follows its end, until a person scrolls up', async () => {
  await using hub = await Hub.start();
  const lines = (from: number) => Array.from({ length: 60 }, (_, at) => ({ topic: 'logs', data: `INFO line ${from + at}` }));
  await hub.publishAll(lines(0));
  await using tab = await chromium.open(watching(hub, 'logs'));
  const log = tab.page.getByRole('group', { name: 'Log of logs' });
  await log.getByText('line 59').waitFor();
  const end = () => log.evaluate((box) => box.scrollHeight - box.clientHeight - box.scrollTop);
  await expect.poll(end).toBeLessThan(3);
  await hub.publishAll(lines(60));
  await log.getByText('line 119').waitFor();
  await expect.poll(end).toBeLessThan(3);
  await log.hover();
  await tab.page.mouse.wheel(0, -500);
  const follow = tab.page.getByRole('button', { name: 'Follow' });
  await expect.poll(() => follow.getAttribute('aria-pressed')).toBe('false');
  await hub.publishAll(lines(120));
  await log.getByText('line 179').waitFor();
  expect(await end()).toBeGreaterThan(400);
  await follow.click();
  await expect.poll(end).toBeLessThan(3);
});

test('toasts for what happens now, not for a replay; the browser’s own only after a click', async () => {
  await using hub = await Hub.start();
  await hub.publish('notices/a', 'Old news');
  await using tab = await chromium.open(watching(hub, 'notices/*'), { permissions: ['notifications'] });
  const { page } = tab;
  await page.evaluate(() => {
    const made: string[] = [];
    Object.assign(window, { made });
    const Real = window.Notification;
    window.Notification = class extends Real {
      constructor(title: string, options?: NotificationOptions) {
        super(title, options);
        made.push(`${title}: ${options?.body}`);
      }
    };
  });
  const made = () => page.evaluate(() => (window as never as { made: string[] }).made);
  await card(tab, 'notices/a').getByText('Old news').waitFor();
  // What was missed during a cut comes by replay, while the display is there.
  await page.getByRole('checkbox', { name: /tick/ }).uncheck();
  await page.getByRole('button', { name: 'Cut the connection' }).click();
  await hub.publish('notices/a', 'Missed');
  await card(tab, 'notices/a').getByText('Missed').waitFor();
  await hub.publish('notices/a', JSON.stringify({ title: 'Backup <b>', message: 'It failed\u202e', priority: 5, tags: ['disk'], click: 'javascript:alert(1)' }));
  const toast = toasts(tab).filter({ hasText: 'Backup <b>' });
  await toast.waitFor();
  expect(await toast.textContent()).toContain('It failed\\u{202E}');
  expect(await toasts(tab).count()).toBe(1);
  expect(await made()).toEqual([]);
  expect(await card(tab, 'notices/a').getByRole('link', { name: /alert/ }).count()).toBe(0);
  await page.getByRole('button', { name: 'Also outside this page' }).click();
  await expect.poll(() => page.getByRole('button', { name: 'Also outside this page' }).getAttribute('aria-pressed')).toBe('true');
  await hub.publish('notices/a', JSON.stringify({ title: 'Lunch', message: 'is here', click: 'https://example.com/menu' }));
  await expect.poll(made).toEqual(['Lunch: is here']);
  expect(await page.getByRole('link', { name: 'example.com' }).getAttribute('rel')).toBe('noopener noreferrer');
  await page.getByRole('switch', { name: 'Toasts' }).click();
  const before = await toasts(tab).count();
  await hub.publish('notices/a', 'Quiet');
  await card(tab, 'notices/a').getByText('Quiet').waitFor();
  await hub.publishAll(Array.from({ length: 300 }, (_, at) => ({ topic: 'notices/a', data: `many ${at}` })));
  await card(tab, 'notices/a').getByText('many 299').waitFor();
  expect(await toasts(tab).count()).toBeLessThanOrEqual(before);
});

test('images and sound by their type; never what could run; addresses are given back', async () => {
  await using hub = await Hub.start();
  await hub.publishAll([
    { topic: 'camera', data: { mime: 'image/png', data: PNG, caption: 'Door' } },
    { topic: 'camera', data: `data:image/png;base64,${PNG}` },
    { topic: 'camera', data: { content_type: 'audio/wav', data: wav(), title: 'Bell' } },
    { topic: 'camera', data: { mime: 'image/svg+xml', data: Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" onload="document.title=1"/>').toString('base64') } },
    { topic: 'camera', data: { mime: 'image/png', data: Buffer.from('<script>').toString('base64'), caption: 'no image' } },
    { topic: 'camera', data: 'data:image/svg+xml,<svg onload=alert(1)>' },
  ]);
  await using tab = await chromium.open(hub.address);
  const { page } = tab;
  await page.evaluate(() => {
    const open = new Set<string>();
    Object.assign(window, { open_addresses: open });
    const [make, revoke] = [URL.createObjectURL.bind(URL), URL.revokeObjectURL.bind(URL)];
    URL.createObjectURL = (blob: Blob) => {
      const made = make(blob);
      open.add(made);
      return made;
    };
    URL.revokeObjectURL = (made: string) => (open.delete(made), revoke(made));
  });
  const open = () => page.evaluate(() => (window as never as { open_addresses: Set<string> }).open_addresses.size);
  await tab.go(new URL(watching(hub, 'camera')).hash);
  const door = page.getByRole('img', { name: 'Door' });
  await expect.poll(() => door.evaluate((image: HTMLImageElement) => image.naturalWidth)).toBe(1);
  await expect.poll(() => page.getByLabel('Bell').evaluate((sound: HTMLAudioElement) => Math.round(sound.duration * 100))).toBe(10);
  await page.getByText('Not shown: this type is not shown.').waitFor();
  await page.getByText('Not shown: this browser cannot decode it.').waitFor();
  expect(await page.locator('main :is(svg, script, iframe, object, embed, video)').count()).toBe(0);
  expect(await open()).toBe(4);
  for (let at = 0; at < 30; at++) await hub.publish('camera', `data:image/png;base64,${PNG}`);
  await expect.poll(() => page.locator('.kind-media li').count()).toBe(12);
  await expect.poll(open).toBeLessThanOrEqual(12);
  await tab.go('#/topics');
  await expect.poll(open).toBe(0);
});

test('what is removed is gone from every display', async () => {
  await using hub = await Hub.start();
  const ids: [string, string][] = [];
  for (const [topic, data, name] of [
    ['chats/1', 'SECRET', 'token'], ['logs', 'ERROR SECRET', 'message'], ['notices/a', 'SECRET', 'message'], ['job', '{"percent":5,"label":"SECRET"}', 'progress'], ['plain', 'SECRET', 'message'],
  ] as const) {
    await hub.publish(topic, topic === 'chats/1' ? 'kept ' : 'kept', topic === 'chats/1' ? '&event=token' : '');
    ids.push([topic, await hub.publish(topic, data, `&event=${name}`)]);
  }
  await using tab = await chromium.open(watching(hub, '**'));
  const main = tab.page.locator('main');
  await expect.poll(async () => (await main.textContent())!.split('SECRET').length).toBeGreaterThanOrEqual(6);
  for (const [topic, id] of ids) await hub.fetch(`events/${id}?topic=${encodeURIComponent(topic)}`, { method: 'DELETE' });
  await expect.poll(() => main.textContent()).not.toContain('SECRET');
  expect(await main.textContent()).toContain('kept');
});

test('a hole in what is shown is told', async () => {
  await using hub = await Hub.start();
  await hub.fetch('topics/chats/1', { method: 'PUT', body: '{"retention":{"max_events":3}}' });
  const first = await hub.publish('chats/1', 'a ', '&event=token');
  for (const data of 'bcdefg') await hub.publish('chats/1', data + ' ', '&event=token');
  await until('the oldest are trimmed', async () => !(await hub.kept('chats/1')).includes('b '));
  await using tab = await chromium.open(`${hub.address}#/live?topic=chats/1&from=${first}&view=kinds`);
  await expect.poll(() => tab.page.getByRole('group', { name: /^Answer/ }).textContent()).toBe('e f g ');
  await tab.page.getByText('What is shown has a hole.').waitFor();
});
