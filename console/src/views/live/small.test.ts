import { expect, test } from 'vitest';
import { exampleOf } from '../../hub/pattern';
import { detect } from './detect';
import { arrived, utf8Length } from './entry';
import { wanted } from './filter';
import { type From, fromQuery, parseFrom, writeFrom } from './from';
import { ROW, heightOf } from './layout';
import { markText } from './marks';
import { RateMeter } from './rate';
import { sample } from './sample';

test.each<[string, From, Record<string, string>]>([
  ['now', { kind: 'now', value: '' }, { from: 'now' }],
  ['earliest', { kind: 'earliest', value: '' }, { from: 'earliest' }],
  ['last:100', { kind: 'last', value: '100' }, { from: 'last:100' }],
  ['since:1h 30m', { kind: 'since', value: '1h 30m' }, { since: '1h 30m' }],
  ['since:2026-11-26T20:00:00.000Z', { kind: 'time', value: '2026-11-26T20:00:00.000Z' }, { since: '2026-11-26T20:00:00.000Z' }],
  ['yrtxnomj-17', { kind: 'id', value: 'yrtxnomj-17' }, { from: 'yrtxnomj-17' }],
])('from %s', (text, from, query) => {
  expect(parseFrom(text)).toEqual(from);
  expect(writeFrom(from)).toBe(text);
  expect(fromQuery(from)).toEqual(query);
});

test('an address that says nothing of where, or nonsense, begins with the oldest', () => {
  expect(parseFrom(null).kind).toBe('earliest');
  expect(parseFrom('last:x').kind).toBe('earliest');
});

test('bytes as in UTF-8', () => {
  for (const text of ['', 'abc', 'äöü', '€', '😀', 'a😀b', 'x\n\0']) expect(utf8Length(text), text).toBe(new TextEncoder().encode(text).length);
  for (const lone of ['\ud800', 'a\udc00b', '\ud800x']) expect(utf8Length(lone)).toBe(new TextEncoder().encode(lone).length);
});

test('a filter takes text as it is, whatever its case', () => {
  const event = { ...sample(1, 'A [b] $^ ÄÖ-c/d', 'step'), n: 0, at: 0 };
  for (const text of ['a [B]', '$^', 'äö-C/D', 'STORY', 'step', 'abcd-1']) expect(wanted({ name: null, text })!(event), text).toBe(true);
  for (const text of ['aab', '.', '\\']) expect(wanted({ name: null, text })!(event), text).toBe(false);
  expect(wanted({ name: 'other', text: '' })!(event)).toBe(false);
  expect(wanted({ name: null, text: '' })).toBe(null);
});

test('a rate is of the last whole seconds', () => {
  const meter = new RateMeter();
  for (let at = 0; at < 3000; at += 100) meter.add(10, 1000, 10_000 + at);
  expect(meter.read(13_000)).toEqual({ events: 100, bytes: 10_000 });
  // The present second is not over.
  meter.add(500, 0, 13_000);
  expect(meter.read(13_500).events).toBe(100);
  expect(meter.read(20_000).events).toBe(0);
});

test('the display suits most of what comes', () => {
  const no = () => false;
  const event = (data: string) => ({ ...sample(1, data), n: 0, at: 0 });
  expect(detect([], 0, no)).toBe('text');
  expect(detect([event('a'), event('{"a":1,"b":2,"c":3}')], 0, no)).toBe('text');
  expect(detect([event('{"a":1,"b":2,"c":3}')], 0, no)).toBe('json');
  expect(detect([event('{}')], 0, no)).toBe('text');
  expect(detect([event('a')], 0, () => true)).toBe('kinds');
  expect(detect([event('a')], 5000, () => true)).toBe('text');
});

test('the sentences between events', () => {
  expect(markText({ type: 'gap', gap: { topic: 'story', after: 'abcd-1', resumes_at: 'abcd-5', reason: 'trimmed' } })).toBe(
    'Gap: events of story after abcd-1 are gone: trimmed by retention; resuming at abcd-5',
  );
  expect(markText({ type: 'gap', gap: { after: 'x\u202e', resumes_at: null, reason: 'unknown' } })).toBe(
    'Gap: events after x\\u{202E} are gone: the last id is of another store',
  );
  expect(markText({ type: 'end', end: { topic: 'story', reason: 'deleted', last_id: null } })).toBe('End: story was deleted');
  expect(markText({ type: 'live', replayed: 1 })).toBe('Replay ended after 1 event; live from here');
});

test('a row is as high as its data', () => {
  const event = { ...sample(1, '{"a":1,"b":2}'), n: 3, at: 0 };
  const none = new Set<number>();
  expect(heightOf(event, false, 1000, none)).toBe(ROW);
  const low = heightOf(event, true, 1000, none);
  const long = { ...event, data: JSON.stringify(Array.from({ length: 100 }, () => 1)) };
  const cut = heightOf(long, true, 1000, none);
  expect(cut).toBeGreaterThan(low);
  expect(heightOf(long, true, 1000, new Set([3]))).toBeGreaterThan(cut * 4);
  const mark = { kind: 'mark' as const, n: 1, at: 0, mark: { type: 'back' as const, tone: 'good' as const, text: 'x'.repeat(100) } };
  expect(heightOf(mark, false, 300, none)).toBeGreaterThan(heightOf(mark, false, 1400, none));
});

test('a topic to publish ticks to', () => {
  expect(['demo', 'jobs/*', '**', 'a/*/b'].map(exampleOf)).toEqual(['demo', 'jobs/demo', 'demo', 'a/demo/b']);
});

test('a tombstone names itself', () => {
  const envelope = { topic: 'a', id: 'abcd-1', time: '', event: 'hub.removed', data: '{"topic":"a","id":"abcd-1"}' };
  expect(arrived(envelope, false).removed).toBe(true);
  expect(arrived({ ...envelope, id: 'abcd-2' }, false).removed).toBe(false);
});
