// What a stream brought: the events, and the marks that stand between them.
import type { End, Envelope, Gap } from '../../hub/types';

export interface LiveEvent extends Envelope {
  kind: 'event';
  /** The number of the item: rises by one with each item that arrives, marks included, and never changes. Older events that are read back have lower ones. */
  n: number;
  /** When it came to this page, in milliseconds since the epoch. */
  at: number;
  /** It was published before the connection that brought it, and came from the log. */
  replayed: boolean;
  /** UTF-8 bytes of the data. */
  size: number;
  /** It was removed: its data and name are forgotten. Such an event has the name `hub.removed`. */
  removed: boolean;
}

/** Set later: a mark may say more when more is known. */
export type Mark =
  /** Replay has ended and live begins; `replayed` events of this connection came by replay. */
  | { type: 'live'; replayed: number }
  | { type: 'gap'; gap: Gap }
  | { type: 'end'; end: End }
  /** The connection was lost and is back. */
  | { type: 'back'; text: string; tone: 'info' | 'good' | 'bad' };

export interface LiveMark {
  kind: 'mark';
  n: number;
  at: number;
  mark: Mark;
}

export type LiveItem = LiveEvent | LiveMark;

/** What arrives, before the store gives it a number. */
export type Arrival = Omit<LiveEvent, 'n' | 'at'> | Omit<LiveMark, 'n' | 'at'>;

/** An envelope as what arrives. */
export function arrived(envelope: Envelope, replayed: boolean): Omit<LiveEvent, 'n' | 'at'> {
  const removed = envelope.event === 'hub.removed' && isTombstone(envelope);
  return { kind: 'event', ...envelope, replayed, size: utf8Length(envelope.data), removed };
}

/** A tombstone names its own id; a notice the id of another event. */
function isTombstone({ id, data }: Envelope): boolean {
  try {
    return (JSON.parse(data) as { id?: unknown }).id === id;
  } catch {
    return false;
  }
}

/** Bytes of the text in UTF-8. A lone surrogate counts as its replacement, three bytes. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) continue;
    bytes += 1;
    if (unit < 0x800) continue;
    bytes += 1;
    // A pair is four bytes in two units.
    if (unit >= 0xd800 && unit < 0xdc00 && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00) {
      at += 1;
    }
  }
  return bytes;
}
