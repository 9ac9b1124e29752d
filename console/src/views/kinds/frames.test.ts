// Frames of the providers as they stand in the log of a topic: the recordings of the relay's own tests.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { SseParser } from '../../hub/sse';
import { KindsModel } from './model';
import { event } from './testing';

const streams = resolve(import.meta.dirname, '../../../../tests/relay/streams');

function shown(frames: { event: string; data: string }[]) {
  const model = new KindsModel();
  const topic = 'stories/7';
  model.push(event({ topic, event: 'run.started', data: '{"run":"run_1","provider":"p","model":"m"}' }));
  for (const frame of frames) model.push(event({ topic, ...frame }));
  model.push(event({ topic, event: 'run.ended', data: '{"run":"run_1","status":"completed","usage":{"input":19,"output":42,"source":"upstream"}}' }));
  const [display] = model.shown;
  expect(display!.kind).toBe('tokens');
  expect(display!.rows.length + display!.log.length + display!.notices.length).toBe(0);
  const texts = [...display!.tokens.texts];
  expect(texts.length).toBe(1);
  return texts[0]!;
}

const sse = (name: string) => new SseParser().push(readFileSync(resolve(streams, name)));

for (const name of ['openai_chat.sse', 'anthropic.sse']) {
  test(name, () => {
    const text = shown(sse(name));
    expect(text.text).toBe('Hello 世界, 東京 is 🌤️ "mild".');
    expect(text.thinking).toBe("The user wants 東京's weather.\n");
    expect([...text.tools.values()]).toEqual([{ name: 'weather', arguments: '{"city":"東京","unit":"°C"}' }]);
    expect(text.ending).toMatchObject({ status: 'completed', input: 19, output: 42 });
    expect([text.run, text.model]).toEqual(['run_1', 'm']);
  });
}

test('gemini.sse', () => {
  const text = shown(sse('gemini.sse'));
  expect(text.text).toBe('Hello 世界, 東京 is 🌤️ "mild".');
  expect(text.thinking).toBe("The user wants 東京's weather.\n");
  expect([...text.tools.values()]).toEqual([{ name: 'weather', arguments: '{"city":"東京","unit":"°C"}' }]);
});

test('openai_responses.sse', () => {
  const text = shown(sse('openai_responses.sse'));
  expect(text.text).toBe('Hello 世界, 東京 is 🌤️ "mild".');
  expect(text.thinking).toBe('**Checking** the weather in 東京.');
  expect([...text.tools.values()][0]!.name).toBe('weather');
});

test('ollama_chat.ndjson', () => {
  const lines = readFileSync(resolve(streams, 'ollama_chat.ndjson'), 'utf8').trim().split('\n');
  const text = shown(lines.map((data) => ({ event: 'message', data })));
  expect(text.text).toBe('Hello 世界, 東京 is 🌤️ "mild".');
  expect(text.thinking).toBe("The user wants 東京's weather.\n");
  expect([...text.tools.values()]).toEqual([{ name: 'weather', arguments: '{"city":"東京","unit":"°C"}' }]);
});
