import { expect, test } from 'vitest';
import { Sense, kindOfName, readAlone, readAs } from './detect';
import { KINDS, type KindEvent } from './reading';
import { event } from './testing';

const alone = (given: Partial<KindEvent> & { data: string }, hint: Parameters<typeof readAlone>[1] = null) => readAlone(event(given), hint);
const data = (value: unknown, name = 'message') => event({ data: JSON.stringify(value), event: name });

test('a name of a topic suggests its kind by its last telling part', () => {
  expect(kindOfName('jobs/42/tokens')).toBe('tokens');
  expect(kindOfName('chats/42')).toBe('tokens');
  expect(kindOfName('notices/ada')).toBe('notification');
  expect(kindOfName('logs/progress')).toBe('progress');
  expect(kindOfName('build.log')).toBe('log');
  expect(kindOfName('catalog/prices')).toBe(null);
  expect(kindOfName('a')).toBe(null);
});

test('plain pieces of a text', () => {
  expect(alone({ event: 'token', data: ' and' })).toMatchObject({ what: 'piece', text: ' and' });
  expect(alone({ event: 'delta', data: '{"text":" and","choice":0,"block":0}' })).toMatchObject({ what: 'piece', text: ' and' });
  expect(alone({ event: 'reasoning', data: '{"text":"hm"}' })).toMatchObject({ what: 'piece', text: '', thinking: 'hm' });
  for (const name of ['text', 'token', 'delta', 'content']) expect(alone({ data: JSON.stringify({ [name]: 'so' }) })).toMatchObject({ what: 'piece', text: 'so' });
  expect(readAs(data({ key: 'k', text: 'Why?' }, 'user'), 'tokens')).toMatchObject({ what: 'said', text: 'Why?' });
});

test('a topic of plain pieces is recognized by its spaces, also afterwards', () => {
  const sense = new Sense('jobs/42');
  expect(sense.read(event({ data: 'Hel' })).kind).toBe('text');
  expect(sense.read(event({ data: 'lo ' }))).toMatchObject({ kind: 'tokens', text: 'lo ' });
  expect(sense.leaning).toBe('tokens');
  expect(sense.read(event({ event: 'done', data: '' }))).toMatchObject({ what: 'end', ending: { status: 'completed' } });
});

test('progress under its usual names and in its usual words', () => {
  expect(readAlone(data({ percent: 42 }, 'progress'), null)).toMatchObject({ kind: 'progress', done: 42, total: 100, unit: '%' });
  expect(readAlone(data({ done: 3, total: 6, unit: 'files', name: 'upload' }), null)).toMatchObject({ done: 3, total: 6, unit: 'files', bar: 'upload' });
  expect(readAlone(data({ loaded: '3', total: '6' }), null)).toMatchObject({ done: 3, total: 6 });
  expect(readAlone(data({ progress: 0.25 }), null)).toMatchObject({ done: 25, total: 100, scale: 'fraction' });
  expect(readAlone(data({ done: 12 }, 'progress'), null)).toMatchObject({ done: 12, total: null });
  expect(alone({ data: '3 of 6' })).toMatchObject({ kind: 'progress', done: 3, total: 6 });
  expect(alone({ data: 'Step 3/6: linking' })).toMatchObject({ done: 3, total: 6 });
  expect(alone({ data: '42 %' })).toMatchObject({ done: 42, total: 100, unit: '%' });
  expect(alone({ data: 'Uploading: 42.5 %' })).toMatchObject({ done: 42.5, label: 'Uploading' });
  expect(alone({ data: '[=====>    ] 50%' })).toMatchObject({ done: 50 });
  expect(alone({ event: 'progress', data: '7' })).toMatchObject({ done: 7, total: 100 });
});

test('what has numbers and is no progress', () => {
  for (const no of ['The disk is 90 % full', '26/11/2026', '3/6/2026', '3/6.1.2', '26.11.', '42', 'chapter 9 of 3', '192.168.1/24', '1/0', '']) expect(alone({ data: no })?.kind, no).not.toBe('progress');
  expect(readAlone(data({ done: 3 }), null)?.kind).not.toBe('progress');
  expect(readAlone(data({ done: 3, total: 0 }), null)?.kind).not.toBe('progress');
  expect(readAlone(data({ percent: null, done: -1, total: 5 }, 'progress'), null)?.kind).not.toBe('progress');
});

test('lines of logs, by their usual shapes', () => {
  expect(readAlone(data({ level: 30, time: 1, pid: 2, hostname: 'h', msg: 'started', port: 80 }), null)).toEqual({ kind: 'log', level: 'info', message: 'started', fields: 'port=80' });
  expect(readAlone(data({ severity: 'WARNING', message: 'slow' }), null)).toMatchObject({ level: 'warn', message: 'slow' });
  expect(readAlone(data({ lvl: 'eror', msg: 'x' }), null)?.kind).not.toBe('log');
  expect(readAlone(data({ level: 50, msg: 'x' }), null)).toMatchObject({ level: 'error' });
  expect(readAlone(data({ severity: 3, message: 'x' }), null)).toMatchObject({ level: 'error' });
  for (const [line, level] of [
    ['ERROR no route to host', 'error'],
    ['2026-11-26T20:42:48Z  INFO gapless::app: serving', 'info'],
    ['2026-11-26 20:42:48,123 [main] WARN  c.e.App - slow', 'warn'],
    ['[debug] x', 'debug'],
    ['ts=2026 level=error msg="x"', 'error'],
    ['E1126 20:42:48.000000 1 x.cc:1] boom', 'error'],
    ['127.0.0.1 - - [26/Nov/2026:20:42:48 +0000] "GET / HTTP/1.1" 502 1', 'error'],
    ['Nov 26 20:42:48 host sshd[1]: Accepted', null],
    ['\u001b[31mERROR\u001b[0m red', 'error'],
  ] as const) {
    expect(alone({ data: line }), line).toMatchObject({ kind: 'log', level });
  }
  expect(alone({ data: '\u001b[31mERROR\u001b[0m red' })).toMatchObject({ message: 'ERROR red' });
  expect(alone({ data: 'There was an error in my letter' })).toBe(null);
  expect(alone({ event: 'error', data: 'boom' })).toMatchObject({ kind: 'log', level: 'error' });
});

test('notifications: ntfy’s JSON, names and topics', () => {
  const ntfy = { id: 'x', time: 1, event: 'message', topic: 'backups', title: 'Backup', message: 'failed', priority: 5, tags: ['warning', 'skull'], click: 'https://example.com/' };
  expect(readAlone(data(ntfy), null)).toMatchObject({ kind: 'notification', title: 'Backup', message: 'failed', priority: 5, tags: ['warning', 'skull'], click: 'https://example.com/' });
  expect(readAlone(data({ ...ntfy, click: 'javascript:alert(1)' }), null)).toMatchObject({ click: null });
  expect(readAlone(data({ ...ntfy, click: 'data:text/html,x' }), null)).toMatchObject({ click: null });
  expect(alone({ event: 'notification', data: 'Lunch' })).toMatchObject({ kind: 'notification', message: 'Lunch', title: '' });
  const sense = new Sense('notices/ada');
  expect(sense.read(event({ data: 'Backup done' }))).toMatchObject({ kind: 'notification', message: 'Backup done', priority: 3 });
  expect(sense.read(event({ event: 'warning', data: 'The disk is 90 % full' }))).toMatchObject({ kind: 'notification', title: 'warning', priority: 4 });
});

test('images and sound of safe types only', () => {
  expect(readAlone(data({ mime: 'image/png', data: 'iVBORw0KGgo=' }), null)).toMatchObject({ kind: 'media', mime: 'image/png', base64: 'iVBORw0KGgo=', refused: null });
  expect(readAlone(data({ type: 'audio/mpeg', data: 'SUQz' }), null)).toMatchObject({ kind: 'media', mime: 'audio/mpeg', base64: 'SUQz' });
  expect(alone({ data: 'data:image/webp;base64,UklG' })).toMatchObject({ mime: 'image/webp', base64: 'UklG' });
  expect(readAlone(data({ url: 'data:image/gif;base64,R0lG', caption: 'cat' }), null)).toMatchObject({ mime: 'image/gif', caption: 'cat' });
  for (const bad of ['image/svg+xml', 'video/mp4', 'image/x-icon']) expect(readAlone(data({ mime: bad, data: 'PHN2Zz4=' }), null), bad).toMatchObject({ kind: 'media', base64: null });
  expect(alone({ data: 'data:image/svg+xml;base64,PHN2Zz4=' })).toMatchObject({ base64: null });
  expect(alone({ data: 'data:text/html;base64,PHN2Zz4=' })?.kind).not.toBe('media');
  expect(readAlone(data({ mime: 'image/png', data: '<script>' }), null)).toMatchObject({ base64: null, refused: 'it is not valid base64' });
  expect(readAlone(data({ mime: 'image/png', data: 'A'.repeat(9 * 1024 * 1024) }), null)).toMatchObject({ base64: null, refused: 'it is too large to be shown here' });
});

test('nothing that a publisher writes breaks a reader', () => {
  const nasty = [
    '', ' ', '{', '[', '{}', '[]', 'null', '{"choices":[null]}', '{"choices":[{"delta":null}]}', '{"candidates":[]}', '{"candidates":[{"content":{"parts":"x"}}]}',
    '{"done":true,"message":5}', '{"done":false,"response":{}}', '{"type":"content_block_delta","delta":null}', '{"type":"response.output_text.delta","delta":7}',
    '{"__proto__":{"level":50},"msg":"x"}', '{"constructor":"x","level":"toString","msg":"x"}', '{"level":"constructor","message":"m"}', '{"title":"__proto__","message":"x","priority":"toString","tags":[{}]}',
    '{"percent":1e999}', '{"done":"NaN","total":"Infinity"}', '{"mime":"image/png","data":{}}', 'data:image/png;base64,', 'data:;base64,AAAA',
    '\u0000', '\u202e‮', '\ud800', '<img src=x onerror=alert(1)>', 'x'.repeat(1_000_000), '['.repeat(100_000), `{"a":${'['.repeat(5000)}`, '1'.repeat(100_000), `${' '.repeat(50_000)}%`,
    '-'.repeat(100_000) + '1 %', '(' .repeat(50_000) + '3 of 6',
  ];
  const begun = performance.now();
  for (const data of nasty) {
    for (const name of ['message', 'run.started', 'run.ended', 'token', 'progress', 'log', 'notification', 'image', 'done', 'user', 'constructor', '__proto__']) {
      for (const topic of ['a', 'chats/1', 'notices/x', 'logs', 'progress', '__proto__']) {
        const given = event({ data, event: name, topic });
        const sense = new Sense(topic);
        sense.read(given);
        sense.read(given);
        for (const kind of KINDS) readAs(given, kind);
      }
    }
  }
  // Each is read some thousand times: a regular expression that backtracks would take minutes.
  expect(performance.now() - begun).toBeLessThan(20_000);
});
