import { expect, test } from 'vitest';
import { blocks } from './blocks';
import { KindsModel, MOST_TOPICS } from './model';
import { ProgressBar } from './progress-bars';
import { Redraw, type Clock } from './redraw';
import { event } from './testing';
import { doneWords, leftWords, rateWords } from './words';

test('the examples are shown as what they are', () => {
  const model = new KindsModel();
  for (const data of ['You ', 'asked: ', 'Why? ', 'The ', 'answer ', 'is ', '42. ']) model.push(event({ topic: 'jobs/7/tokens', data }));
  model.push(event({ topic: 'jobs/7/tokens', event: 'done', data: '' }));
  for (const percent of [5, 10, 15]) model.push(event({ topic: 'import', event: 'progress', data: `{"percent":${percent}}` }));
  model.push(event({ topic: 'notices/ada', data: 'Backup done' }));
  model.push(event({ topic: 'notices/ada', event: 'warning', data: 'The disk is 90 % full' }));
  model.push(event({ topic: 'logs/app', data: 'listening' }));
  model.push(event({ topic: 'logs/app', data: 'ERROR no space' }));
  model.push(event({ topic: 'chats/1', event: 'user', data: '{"key":"k","text":"Hi"}' }));
  model.push(event({ topic: 'chats/1', event: 'run.started', data: '{"run":"run_1","model":"m"}' }));
  model.push(event({ topic: 'chats/1', data: '{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hello"}}]}' }));
  const [tokens, progress, notices, logs, chat] = model.shown;
  expect([...tokens!.tokens.texts].map(({ text, ending }) => [text, ending?.status])).toEqual([['You asked: Why? The answer is 42. ', 'completed']]);
  expect(progress!.progress.shown.map(({ done }) => done)).toEqual([15]);
  expect([...notices!.notices].map(({ title, message, priority }) => [title, message, priority])).toEqual([['', 'Backup done', 3], ['warning', 'The disk is 90 % full', 4]]);
  expect([...logs!.log].map(({ level, message }) => [level, message])).toEqual([[null, 'listening'], ['error', 'ERROR no space']]);
  expect([...chat!.tokens.texts].map(({ who, text }) => [who, text])).toEqual([['You', 'Hi'], ['Answer', 'Hello']]);
  expect(model.shown.every(({ rows }) => rows.length === 0)).toBe(true);
});

test('what came before the kind was known is of it, too', () => {
  const model = new KindsModel();
  for (const data of ['Hel', 'lo', ' world']) model.push(event({ topic: 'x', data }));
  expect([...model.shown[0]!.tokens.texts].map(({ text }) => text)).toEqual(['Hello world']);
  expect(model.shown[0]!.rows.length).toBe(0);
});

test('a provider’s error ends a text, and the end of the run says the rest; other objects are not part of it', () => {
  const model = new KindsModel();
  const topic = 'chats/1';
  model.push(event({ topic, event: 'run.started', data: '{"run":"run_1","model":"m"}' }));
  model.push(event({ topic, data: '{"choices":[{"delta":{"content":"Well"}}]}' }));
  model.push(event({ topic, data: '{"presence":"ann"}' }));
  model.push(event({ topic, data: '{"error":{"message":"overloaded","type":"server_error"}}' }));
  const text = () => [...model.shown[0]!.tokens.texts].map(({ text, ending }) => [text, ending?.status, ending?.error, ending?.output]);
  expect(text()).toEqual([['Well', 'failed', 'overloaded', null]]);
  model.push(event({ topic, event: 'run.ended', data: '{"run":"run_1","status":"failed","usage":{"input":1,"output":2,"source":"partial"},"error":{"message":"the provider is overloaded"}}' }));
  expect(text()).toEqual([['Well', 'failed', 'the provider is overloaded', 2]]);
  expect([...model.shown[0]!.rows].map(({ data }) => data)).toEqual(['{"presence":"ann"}']);
});

test('a kind that is chosen by hand holds for what there was and for what comes', () => {
  const model = new KindsModel();
  const events = ['a', 'b'].map((data) => event({ topic: 'x', data }));
  for (const one of events) model.push(one);
  model.choose('x', 'log', events);
  model.push(event({ topic: 'x', data: 'c' }));
  expect([...model.shown[0]!.log].map(({ message }) => message)).toEqual(['a', 'b', 'c']);
  model.choose('x', null, events);
  expect([...model.shown[0]!.rows].map(({ data }) => data)).toEqual(['a', 'b']);
});

test('what is removed is forgotten in every display', () => {
  const model = new KindsModel();
  const secret = [
    event({ topic: 'chats/1', event: 'token', data: 'SECRET' }),
    event({ topic: 'logs', data: 'ERROR SECRET' }),
    event({ topic: 'notices/a', data: 'SECRET' }),
    event({ topic: 'p', event: 'progress', data: '{"percent":5,"label":"SECRET"}' }),
    event({ topic: 'x', data: 'SECRET' }),
    event({ topic: 'm', data: '{"mime":"image/png","data":"AAAA","caption":"SECRET"}' }),
  ];
  model.push(event({ topic: 'chats/1', event: 'token', data: 'kept ' }));
  for (const one of secret) model.push(one);
  model.push(event({ topic: 'p', event: 'progress', data: '{"percent":6}' }));
  const all = () => JSON.stringify(model.shown.map((topic) => [[...topic.tokens.texts], [...topic.log], [...topic.notices], topic.progress.shown, [...topic.rows], [...topic.media.items]]));
  expect(all()).toContain('SECRET');
  for (const { topic, id } of secret) model.push(event({ topic, event: 'hub.removed', data: JSON.stringify({ topic, id }) }));
  expect(all()).not.toContain('SECRET');
  expect(all()).toContain('kept ');
  expect(model.tell().notices).toEqual([]);
});

test('notifications are told once, not those of a replay, and many at once as a number', () => {
  const model = new KindsModel();
  model.push(event({ topic: 'notices/a', data: 'old', replayed: true }));
  expect(model.tell()).toEqual({ notices: [], more: 0 });
  for (let at = 0; at < 100; at++) model.push(event({ topic: 'notices/a', data: `n${at}` }));
  const told = model.tell();
  expect(told.notices.map(({ notice }) => notice.message)).toEqual(['n97', 'n98', 'n99']);
  expect(told.more).toBe(97);
  expect(model.tell().notices).toEqual([]);
});

test('everything is bounded', () => {
  const model = new KindsModel();
  for (let at = 0; at < 20_000; at++) {
    model.push(event({ topic: `t${at % 40}`, data: `line ${at}` }));
    model.push(event({ topic: 'busy', event: 'token', data: 'x'.repeat(100) }));
    model.push(event({ topic: 'busy', event: 'log', data: 'y' }));
    model.push(event({ topic: 'busy', event: 'notification', data: 'z' }));
    model.push(event({ topic: 'busy', event: 'progress', data: `{"percent":1,"id":"bar${at}"}` }));
    model.push(event({ topic: 'busy', event: 'tool', data: `{"choices":[{"delta":{"tool_calls":[{"index":${at},"function":{"arguments":"a"}}]}}]}` }));
  }
  expect(model.shown.length).toBe(MOST_TOPICS);
  expect(model.dropped).toBeGreaterThan(0);
  const busy = model.shown.find(({ topic }) => topic === 'busy')!;
  const [text] = busy.tokens.texts;
  expect(text!.text.length).toBeLessThanOrEqual(40_000);
  expect(text!.text.length + text!.cut).toBe(20_000 * 100);
  expect(text!.tools.size).toBeLessThanOrEqual(100);
  expect(busy.log.length + busy.log.dropped).toBe(20_000);
  expect(busy.log.length).toBeLessThanOrEqual(300);
  expect(busy.notices.length).toBeLessThanOrEqual(40);
  expect(busy.progress.bars.size).toBeLessThanOrEqual(40);
});

test('a gap and an end are kept when another kind is chosen', () => {
  const model = new KindsModel();
  for (const topic of ['x', 'y']) model.push(event({ topic, event: 'token', data: 'a' }));
  model.gap('x');
  model.end('x');
  model.choose('x', 'log', []);
  expect(model.shown.map(({ gaps, ended }) => [gaps, ended])).toEqual([[1, true], [0, false]]);
  model.gap();
  expect(model.shown.map(({ gaps }) => gaps)).toEqual([2, 1]);
});

test('one piece larger than a text may be', () => {
  const model = new KindsModel();
  model.push(event({ topic: 'x', event: 'token', data: 'a'.repeat(1_000_000) }));
  const [text] = model.shown[0]!.tokens.texts;
  expect(text!.text.length).toBeGreaterThan(1000);
  model.push(event({ topic: 'x', event: 'token', data: 'end' }));
  expect(text!.text.endsWith('end')).toBe(true);
  expect(text!.text.length).toBeLessThanOrEqual(40_000);
  expect(text!.text.length + text!.cut).toBe(1_000_003);
});

const at = (seconds: number) => event({ data: '', time: new Date(1_700_000_000_000 + seconds * 1000).toISOString() });
const clock = (seconds: number) => 1_700_000_000_000 + seconds * 1000;
const reading = (done: number, total: number | null = 100, unit = '%', scale?: 'fraction' | 'one') =>
  ({ kind: 'progress', bar: '', label: '', done, total, unit, ...(scale ? { scale } : {}) }) as const;

test('the time left is computed from the steps, and is not known without them', () => {
  const bar = new ProgressBar('', at(0));
  bar.step(at(0), reading(10));
  expect(leftWords(bar.left(clock(0)))).toBe('time left not known');
  bar.step(at(10), reading(20));
  expect(bar.left(clock(10))).toEqual({ state: 'left', ms: 80_000 });
  // It goes on while nothing comes.
  expect(bar.left(clock(15))).toEqual({ state: 'left', ms: 75_000 });
  expect(leftWords(bar.left(clock(15)))).toBe('about 1 min 15 s left');
  expect(bar.left(clock(100)).state).toBe('stalled');
  bar.step(at(101), reading(100));
  expect(bar.left(clock(101))).toEqual({ state: 'done', took: 101_000 });
});

test('progress that begins again, has no total, or is a fraction', () => {
  const bar = new ProgressBar('', at(0));
  bar.step(at(0), reading(50));
  bar.step(at(10), reading(5));
  expect(bar.rate).toBe(null);
  bar.step(at(20), reading(10));
  expect(bar.rate).toBe(0.5);
  bar.ended = true;
  expect(leftWords(bar.left(clock(20)))).toBe('ended before it was done');
  const counted = new ProgressBar('', at(0));
  counted.step(at(0), reading(0, null, 'rows'));
  counted.step(at(2), reading(500, null, 'rows'));
  expect([counted.fraction, doneWords(counted), rateWords(counted), leftWords(counted.left(clock(2)))]).toEqual([null, '500 rows', '250 rows/s', 'time left not known']);
  const fraction = new ProgressBar('', at(0));
  fraction.step(at(0), reading(50, 100, '%', 'fraction'));
  fraction.step(at(1), reading(1, 100, '%', 'one'));
  expect(fraction.fraction).toBe(1);
  const percent = new ProgressBar('', at(0));
  percent.step(at(1), reading(1, 100, '%', 'one'));
  expect(percent.fraction).toBe(0.01);
});

test('a text in blocks is the text', () => {
  const text = Array.from({ length: 5000 }, (_, line) => 'word '.repeat(line % 30)).join('\n');
  const parts = blocks(text);
  expect(parts.join('')).toBe(text);
  expect(parts.length).toBeGreaterThan(50);
  expect(blocks(text + 'more').slice(0, -1)).toEqual(parts.slice(0, -1));
  expect(blocks('')).toEqual([]);
  for (const line of ['word '.repeat(10_000), 'x'.repeat(50_000), '😀'.repeat(20_000), 'a' + '😀'.repeat(20_000)]) {
    const broken = blocks(line);
    expect(broken.join('')).toBe(line);
    expect(Math.max(...broken.map(({ length }) => length))).toBeLessThanOrEqual(4000);
    expect(broken.some((part) => /[\ud800-\udbff]$/.test(part))).toBe(false);
    expect(blocks(line + 'more').slice(0, broken.length - 1)).toEqual(broken.slice(0, -1));
  }
});

test('paper is drawn twice a second, a screen once a frame', () => {
  let time = 0;
  let drawn = 0;
  const calls = new Map<number, { at: number; call: () => void }>();
  let next = 0;
  const later = (ms: number, call: () => void) => (calls.set(++next, { at: time + ms, call }), next);
  const clock: Clock = { now: () => time, frame: (call) => later(16, call), cancelFrame: (id) => calls.delete(id), after: later, cancelAfter: (id) => calls.delete(id) };
  let cost = 0;
  const run = (redraw: Redraw) => {
    drawn = 0;
    const end = time + 5000;
    while (time < end) {
      time += 1;
      redraw.request();
      for (const [id, { at, call }] of calls) if (at <= time) (calls.delete(id), call());
    }
    return drawn;
  };
  const redraw = new Redraw(() => {
    drawn += 1;
    time += cost;
  }, clock);
  expect(run(redraw)).toBeGreaterThan(280);
  // Half of the time is left.
  cost = 100;
  expect(run(redraw)).toBeLessThanOrEqual(26);
  cost = 0;
  redraw.paper = true;
  run(redraw);
  const paper = run(redraw);
  expect(paper).toBeGreaterThanOrEqual(9);
  expect(paper).toBeLessThanOrEqual(10);
});
