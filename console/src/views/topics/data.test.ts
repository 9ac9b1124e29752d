import { expect, test } from 'vitest';
import { prettyJson, removedId } from './data';

const event = (name: string, data: string) => ({ topic: 't', id: 'yrtxnomj-2', time: '', event: name, data });

test('a tombstone and a notice name the event that was removed', () => {
  expect(removedId(event('hub.removed', '{"topic":"t","id":"yrtxnomj-1"}'))).toBe('yrtxnomj-1');
  expect(removedId(event('message', '{"topic":"t","id":"yrtxnomj-1"}'))).toBeNull();
  expect(removedId(event('hub.removed', 'no json'))).toBeNull();
});

test('objects and lists become readable', () => {
  expect(prettyJson('{"a": [1, 2],\n "b":"x y"}')).toBe('{\n  "a": [\n    1,\n    2\n  ],\n  "b": "x y"\n}');
  for (const text of ['text', '17', '"text"', '{broken', '']) expect(prettyJson(text)).toBeNull();
});

test('what parsing would change is shown as it was published', () => {
  for (const text of ['{"n":9007199254740993}', '{"a":1,"a":2}', '{"2":1,"1":2}', '[1.0]', '[1e3]']) expect(prettyJson(text)).toBeNull();
});
