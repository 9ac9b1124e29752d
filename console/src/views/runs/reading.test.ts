import { expect, test } from 'vitest';
import { SseParser } from '../../hub/sse';
import { firstModel, modelPatterns, runRequest } from './ask-request';
import { RateMeter, tokensPerSecond } from './rate';
import { RunReader } from './run-reader';

const bytes = (text: string) => new TextEncoder().encode(text);
const read = (text: string) => {
  const reader = new RunReader();
  reader.push(new SseParser().push(bytes(text)));
  return reader;
};

test('a run with everything', () => {
  const reader = read(`event: run.started
data: {"run":"run_1","provider":"p","model":"m"}
id: e-2

event: reasoning
data: {"text":"hm","choice":0,"block":0}
id: e-3

event: delta
data: {"text":"Hel","choice":0,"block":0}
id: e-4

event: delta
data: {"text":"lo","choice":0,"block":0}

event: usage
data: {"input":3,"output":2}
id: e-5

event: tool
data: {"index":0,"id":"c","name":"weather","arguments":"{"}
id: e-6

event: tool
data: {"index":0,"id":null,"name":null,"arguments":"}"}
id: e-7

event: image
data: {"mime":"image/png","data":"AAAA"}
id: e-8

event: run.ended
data: {"run":"run_1","status":"failed","usage":{"input":3,"output":2,"source":"partial"},"error":{"code":"x","message":"overloaded"}}
id: e-9

`);
  expect([reader.text, reader.reasoning, reader.deltas]).toEqual(['Hello', 'hm', 3]);
  expect([...reader.calls.values()]).toEqual([{ name: 'weather', arguments: '{}' }]);
  expect(reader.media).toEqual([{ mime: 'image/png', base64: 'AAAA', refused: null }]);
  expect(reader.usage).toEqual({ input: 3, output: 2 });
  expect(reader.ending).toEqual({ status: 'failed', by: null, error: 'overloaded', input: 3, output: 2 });
});

test('a connection that breaks within a frame shows nothing twice', () => {
  const reader = new RunReader();
  const before = new SseParser();
  reader.push(before.push(bytes('event: delta\ndata: {"text":"a","choice":0}\nid: e-1\n\nevent: delta\ndata: {"text":"b","choice":0}\n\n')));
  expect(reader.text).toBe('a');
  reader.reconnecting();
  reader.push(new SseParser(before.id).push(bytes('event: delta\ndata: {"text":"b","choice":0}\n\nevent: usage\ndata: {"input":1,"output":2}\nid: e-2\n\n')));
  expect(reader.text).toBe('ab');
});

test('broken data of a newer hub or of a proxy is passed over', () => {
  const reader = read('event: delta\ndata: nonsense\nid: e-1\n\nevent: delta\ndata: {"text":5}\nid: e-2\n\nevent: later\ndata: {}\nid: e-3\n\nevent: run.ended\ndata: {}\nid: e-4\n\n');
  expect(reader.text).toBe('');
  expect(reader.ending!.status).toBe('ended');
});

test('the rate is measured over what has come lately, and is not known at first', () => {
  const meter = new RateMeter();
  expect(meter.perSecond(0)).toBe(null);
  for (let now = 0; now <= 10_000; now += 100) meter.add(2, now);
  expect(meter.perSecond(10_000)).toBeCloseTo(20, 1);
  expect(meter.perSecond(12_000)).toBeLessThan(15);
  expect(meter.perSecond(20_000)).toBe(null);
  expect(tokensPerSecond(42, '2026-01-01T00:00:00Z', '2026-01-01T00:00:02Z')).toBe(21);
  expect(tokensPerSecond(null, '2026-01-01T00:00:00Z', '2026-01-01T00:00:02Z')).toBe(null);
  expect(tokensPerSecond(42, '2026-01-01T00:00:00Z', null)).toBe(null);
});

test('the request is in the dialect of the provider', () => {
  const question = { provider: 'p', model: 'm', prompt: 'Hi', system: 'Be brief', topic: 'chats/1' };
  expect(runRequest({ ...question, dialect: 'openai' })).toEqual({
    provider: 'p', topic: 'chats/1',
    request: { model: 'm', messages: [{ role: 'system', content: 'Be brief' }, { role: 'user', content: 'Hi' }], stream_options: { include_usage: true } },
  });
  expect(runRequest({ ...question, dialect: 'anthropic', topic: '' })).toEqual({
    provider: 'p', request: { model: 'm', max_tokens: 4096, system: 'Be brief', messages: [{ role: 'user', content: 'Hi' }] },
  });
  expect(runRequest({ ...question, dialect: 'gemini', model: 'a/b' })).toMatchObject({
    path: '/v1beta/models/a%2Fb:streamGenerateContent', request: { contents: [{ role: 'user', parts: [{ text: 'Hi' }] }], systemInstruction: { parts: [{ text: 'Be brief' }] } },
  });
  expect(runRequest({ ...question, dialect: 'ollama', system: '' })).toMatchObject({ request: { model: 'm', messages: [{ role: 'user', content: 'Hi' }] } });
});

test('the models that may be asked for', () => {
  const provider = { name: 'openai', models: ['gpt-*', 'o*'] };
  expect(modelPatterns(provider, ['openai'])).toEqual(['gpt-*', 'o*']);
  expect(modelPatterns(provider, ['openai/gpt-4o*', 'other'])).toEqual(['gpt-4o*']);
  expect(modelPatterns({ name: 'local', models: ['*'] }, ['*'])).toEqual([]);
  expect(firstModel('openai', [])).toBe('gpt-5-mini');
  expect(firstModel('openai', ['o*', 'gpt-*'])).toBe('gpt-5-mini');
  expect(firstModel('openai', ['o*', 'tiny(1'])).toBe('tiny(1');
  expect(firstModel('openai', ['gpt-4(*'])).toBe('');
  expect(firstModel('unknown', [])).toBe('');
});
