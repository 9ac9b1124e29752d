// What the data of an event is.
import type { Envelope } from '../../hub/types';

/** Characters of an opened event that are shown at first: a line of a megabyte takes a browser seconds to lay out. */
export const SHOWN = 100_000;
/** Longest data that is parsed for its JSON, in characters. */
const PARSED = 2_000_000;

/** The id that a removal notice or a tombstone is about; null for any other event. Publishers cannot use the name. */
export function removedId({ event, data }: Envelope): string | null {
  if (event !== 'hub.removed') return null;
  try {
    const { id } = JSON.parse(data) as { id?: unknown };
    return typeof id === 'string' ? id : null;
  } catch {
    return null;
  }
}

/** Data that is a JSON object or list, with line breaks and indents. Null when it is not, or when parsing would change it. */
export function prettyJson(data: string): string | null {
  if (data.length > PARSED || !/^\s*[[{]/.test(data)) return null;
  try {
    const value: unknown = JSON.parse(data);
    // A number beyond 2^53, a repeated key: what is shown must be what was published.
    if (JSON.stringify(value) !== compact(data)) return null;
    return JSON.stringify(value, null, 2);
  } catch {
    return null;
  }
}

/** JSON without the white space between its tokens. */
const compact = (json: string): string => json.replace(/("(?:[^"\\]|\\.)*")|\s+/g, (_, text: string | undefined) => text ?? '');
