import { expect, test } from 'vitest';
import { extent, plainLines, prettyText } from './pretty';

test.each([
  ['{}'],
  ['[]'],
  ['{"a":1}'],
  ['{"a":[1,2,{"b":null}],"c":"x,{\\"y\\\\","d":{},"e":[[]]}'],
  ['  [ true , false,\n"a" ]  '],
])('is what JSON.stringify makes: %s', (text) => {
  const made = JSON.stringify(JSON.parse(text), null, 2);
  expect(prettyText(text, 1000)).toBe(made);
  expect(extent(text, 1000)).toEqual({ json: true, lines: made.split('\n').length, more: false });
});

test('numbers, escapes and repeated keys stay as they were sent', () => {
  expect(prettyText('{"n":12345678901234567890,"n":1.0,"s":"\\u0041"}', 100)).toBe(
    '{\n  "n": 12345678901234567890,\n  "n": 1.0,\n  "s": "\\u0041"\n}',
  );
});

test.each(['', 'x', '1', '"a"', '{', '{"a"}', '{"a":}', '{"a":1,}', '[1 2]', '[1,]', '{a:1}', '[01]', '[1]x', '{"a":tru}', ']', '["a]'])(
  'is no JSON: %s',
  (text) => expect(extent(text, 100)).toEqual({ json: false, lines: 1, more: false }),
);

test('no more lines are made than are shown', () => {
  const text = JSON.stringify(Array.from({ length: 500_000 }, (_, at) => at));
  expect(extent(text, 20)).toEqual({ json: true, lines: 20, more: true });
  expect(prettyText(text, 20).split('\n')).toHaveLength(20);
});

test('lines of text', () => {
  expect(extent('a\nb\n', 10)).toEqual({ json: false, lines: 3, more: false });
  expect(plainLines('a\nb\n', 10)).toEqual(['a', 'b', '']);
  expect(extent('a\nb\nc', 2)).toEqual({ json: false, lines: 2, more: true });
  expect(plainLines('a\nb\nc', 2)).toEqual(['a', 'b']);
});
