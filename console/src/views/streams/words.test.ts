import { expect, it } from 'vitest';
import type { OpenStream } from '../../hub/types';
import { behind, outcome, selection, sent } from './words';

const stream = (changed: Partial<OpenStream>): OpenStream => ({
  id: 's0-1', request_id: 'a-0-1', address: '127.0.0.1', holder: null, topics: ['a', 'b'], topics_total: 2, format: 'sse', state: 'live',
  since: '2026-11-26T20:00:00.000Z', cursor: 'abcd-1', behind_events: 0, sent_events: 0, sent_bytes: 0, ...changed,
});

it('says how far behind a stream is, also when the hub cannot count it', () => {
  expect([0, 12_345].map((behind_events) => behind(stream({ behind_events })))).toEqual(['0', '12,345']);
  expect(behind(stream({ behind_events: null }))).toBe('on disk');
});

it('says what was sent', () => {
  expect(sent(stream({ sent_events: 1, sent_bytes: 20 }))).toBe('1 event, 20 B');
  expect(sent(stream({ sent_events: 1_234_567, sent_bytes: 5 * 1024 ** 2 }))).toBe('1.23 M events, 5 MiB');
});

it('shows some topics, and counts those that it does not show, cut by the hub or here', () => {
  expect(selection(stream({}))).toEqual({ shown: ['a', 'b'], others: 0 });
  expect(selection(stream({ topics: ['a', 'b', 'c', 'd', 'e'], topics_total: 1000 }))).toEqual({ shown: ['a', 'b', 'c', 'd'], others: 996 });
});

it('promises that nothing is missed only where that is so', () => {
  expect(outcome('sse', true)).toMatch(/^Its client is told to come back .* nothing is missed\.$/);
  expect(outcome('relay', true)).toMatch(/broken off.*The run itself goes on/);
  expect(outcome('relay', true)).not.toContain('nothing is missed');
  expect(outcome('all', false)).toMatch(/^Their clients .* nothing is missed\.$/);
  expect(outcome('all', true)).toMatch(/Answers of the relay are broken off/);
});
