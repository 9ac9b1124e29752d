// Images and sound of a topic, decoded once.
import { Bounded } from './bounded';
import type { KindEvent, MediaReading } from './reading';

/** Pictures and sounds of one topic, and bytes of all of them. */
const MOST_ITEMS = 12;
const MOST_BYTES = 24 * 1024 * 1024;

export interface MediaItem {
  id: string;
  time: string;
  mime: string;
  caption: string;
  /** Null when it is not shown, for the reason in `refused`. */
  blob: Blob | null;
  refused: string | null;
}

export class MediaShelf {
  readonly items = new Bounded<MediaItem>(MOST_ITEMS);

  push(event: KindEvent, reading: MediaReading): void {
    const { id, time } = event;
    const { mime, caption, refused } = reading;
    const blob = reading.base64 === null ? null : decoded(reading.base64, mime);
    this.items.push({ id, time, mime, caption, blob, refused: blob || refused ? refused : 'it is not valid base64' });
    let bytes = 0;
    // The newest that fit.
    const kept = new Set([...this.items].reverse().filter((item) => (bytes += item.blob?.size ?? 0) <= MOST_BYTES));
    this.items.remove((item) => !kept.has(item));
  }

  forget(id: string): boolean {
    return this.items.remove((item) => item.id === id);
  }
}

export function decoded(base64: string, mime: string): Blob | null {
  try {
    const binary = atob(base64);
    const bytes = new Uint8Array(binary.length);
    for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
    return new Blob([bytes], { type: mime });
  } catch {
    return null;
  }
}
