// What is shown of a stream, in words.
import { brief, bytes, count, plural } from '../../format';
import type { OpenStream } from '../../hub/types';

export const FORMATS: Record<OpenStream['format'], string> = {
  sse: 'SSE',
  'sse-json': 'SSE, envelopes',
  'sse-message': 'SSE, all as message',
  'sse-cloudevents': 'SSE, CloudEvents',
  ndjson: 'NDJSON',
  'ndjson-cloudevents': 'NDJSON, CloudEvents',
  mercure: 'Mercure',
  relay: 'Relay',
};

export const TONES: Record<OpenStream['state'], 'good' | 'info' | 'warn'> = { live: 'good', replaying: 'info', lagged: 'warn' };

/** Events that it has not been sent. The hub counts those that it has in memory. */
export const behind = ({ behind_events }: OpenStream): string => (behind_events === null ? 'on disk' : count(behind_events));

export const sent = ({ sent_events, sent_bytes }: OpenStream): string => `${plural(sent_events, 'event').replace(/^[\d,]+/, brief(sent_events))}, ${bytes(sent_bytes)}`;

/** The topics that are shown, and how many are not. */
export function selection({ topics, topics_total }: OpenStream, most = 4): { shown: string[]; others: number } {
  const shown = topics.slice(0, most);
  return { shown, others: topics_total - shown.length };
}

/** What the clients of streams that are ended do next. */
export function outcome(format: OpenStream['format'] | 'all', relay: boolean): string {
  if (format === 'relay') return 'Its answer is broken off: the client sees an error. The run itself goes on, as its provider\u2019s on_disconnect says.';
  if (format !== 'all') return 'Its client is told to come back after a moment, and continues after the last event that it has: nothing is missed.';
  const runs = relay ? ' Answers of the relay are broken off; their runs go on.' : '';
  return `Their clients are told to come back after a moment, and continue after the last event that they have: nothing is missed.${runs}`;
}
