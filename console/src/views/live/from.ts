// Where a stream begins: as the form has it, as the address has it, and as the query of `GET /events`.
import { parts } from '../../hub/id';

export const FROM_KINDS = ['now', 'earliest', 'last', 'since', 'time', 'id'] as const;
export type FromKind = (typeof FROM_KINDS)[number];

export interface From {
  kind: FromKind;
  /** A count, a duration, a time or an id; empty for `now` and `earliest`. */
  value: string;
}

export const FROM_LABELS: Record<FromKind, string> = {
  now: 'now on',
  earliest: 'the oldest kept event',
  last: 'the newest events',
  since: 'a while ago',
  time: 'a time',
  id: 'after an event',
};

/** What a new value of this kind begins with. */
export const FROM_FIRST: Record<FromKind, string> = { now: '', earliest: '', last: '100', since: '10m', time: '', id: '' };

/** From the address: `now`, `earliest`, `last:100`, `since:10m`, `since:2026-11-26T20:00:00Z`, an id. Anything else is `earliest`. */
export function parseFrom(text: string | null): From {
  if (text === 'now') return { kind: 'now', value: '' };
  const last = /^last:(\d+)$/.exec(text ?? '');
  if (last) return { kind: 'last', value: last[1]! };
  if (text?.startsWith('since:')) {
    const value = text.slice('since:'.length);
    return { kind: /^\d{4}-/.test(value) ? 'time' : 'since', value };
  }
  if (text && parts(text)) return { kind: 'id', value: text };
  return { kind: 'earliest', value: '' };
}

/** The inverse of [`parseFrom`]. */
export function writeFrom({ kind, value }: From): string {
  if (kind === 'last') return `last:${value}`;
  if (kind === 'since' || kind === 'time') return `since:${value}`;
  return kind === 'id' ? value : kind;
}

/** The parameters of `GET /events`. */
export function fromQuery({ kind, value }: From): Record<string, string> {
  if (kind === 'since' || kind === 'time') return { since: value };
  return { from: kind === 'last' ? `last:${value}` : kind === 'id' ? value : kind };
}

/** A time of the hub, for `<input type="datetime-local">`, in this browser's time zone. */
export function localTime(text: string): string {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) return '';
  return new Date(time.getTime() - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
