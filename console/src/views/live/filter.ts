import type { LiveEvent } from './entry';

export interface Filter {
  /** An event name; null for all. */
  name: string | null;
  /** Somewhere in the data, the topic, the name or the id, whatever its case. */
  text: string;
}

/** What an event must be; null when every event is. */
export function wanted({ name, text }: Filter): ((event: LiveEvent) => boolean) | null {
  if (name === null && !text) return null;
  // A regular expression compares without making a copy in lower case.
  const pattern = text ? new RegExp(text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&').replaceAll('\\-', '\\x2d'), 'iu') : null;
  return (event) =>
    (name === null || event.event === name) &&
    (!pattern || pattern.test(event.data) || pattern.test(event.topic) || pattern.test(event.event) || pattern.test(event.id));
}
