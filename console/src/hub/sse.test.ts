import { describe, expect, it } from 'vitest';
import { type SseEvent, SseParser } from './sse';

const STREAM = [
  'retry: 250',
  ': a comment',
  'event: hub.cursor',
  'data: {"id":"e-1"}',
  'id: e-1',
  '',
  'data: Zeile eins – é 🎉',
  'data:  zwei',
  'data',
  'id: e-2',
  '',
  'event: named',
  'id: e-3',
  '',
  'data: last',
  '',
  '',
];
const EXPECTED: SseEvent[] = [
  { event: 'hub.cursor', data: '{"id":"e-1"}', id: 'e-1' },
  { event: 'message', data: 'Zeile eins – é 🎉\n zwei\n', id: 'e-2' },
  { event: 'message', data: 'last', id: 'e-3' },
];

describe('SseParser', () => {
  for (const [name, ending] of Object.entries({ LF: '\n', CR: '\r', CRLF: '\r\n' })) {
    it(`reads the same wherever a stream with ${name} is cut`, () => {
      const bytes = new TextEncoder().encode(STREAM.join(ending));
      for (let cut = 0; cut <= bytes.length; cut += 1) {
        const parser = new SseParser();
        const events = [...parser.push(bytes.subarray(0, cut)), ...parser.push(bytes.subarray(cut))];
        expect(events, `cut at ${cut}`).toEqual(EXPECTED);
        expect([parser.id, parser.retry]).toEqual(['e-3', 250]);
      }
    });
  }

  it('reads byte by byte', () => {
    const parser = new SseParser();
    const bytes = new TextEncoder().encode(STREAM.join('\n'));
    expect([...bytes].flatMap((byte) => parser.push(Uint8Array.of(byte)))).toEqual(EXPECTED);
  });

  it('keeps the id of an incomplete event to itself: a reconnect gets that event again', () => {
    const parser = new SseParser('e-1');
    parser.push(new TextEncoder().encode('data: half\nid: e-2\n'));
    expect(parser.id).toBe('e-1');
  });

  it('ignores an id with NUL and a retry that is no number', () => {
    const parser = new SseParser();
    parser.push(new TextEncoder().encode('id: a\0b\nretry: soon\ndata: x\n\n'));
    expect([parser.id, parser.retry]).toEqual(['', null]);
  });

  it('refuses an event beyond its bound, in one line or in many', () => {
    const line = new TextEncoder().encode('data: ' + 'x'.repeat(16 * 1024 * 1024));
    const one = new SseParser();
    expect(() => {
      for (let part = 0; part < 10; part += 1) one.push(line);
    }).toThrow(RangeError);
    const many = new SseParser();
    expect(() => {
      for (let part = 0; part < 10; part += 1) {
        many.push(line);
        many.push(Uint8Array.of(10));
      }
    }).toThrow(RangeError);
  });
});
