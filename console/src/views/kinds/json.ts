// JSON of publishers: anything can be in it.

export type Fields = Record<string, unknown>;

/** Longest data that is parsed, in UTF-16 units: an image of some MiB fits, and a frame's time bounds it. */
export const MOST_PARSED = 12 * 1024 * 1024;

/** The object in `data`; null for anything else. */
export function object(data: string): Fields | null {
  if (data.length > MOST_PARSED || !/^\s*\{/.test(data)) return null;
  try {
    return fields(JSON.parse(data));
  } catch {
    return null;
  }
}

export const fields = (value: unknown): Fields | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : null;

export const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

export const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);

/** A finite number, also one that is written as text. */
export function number(value: unknown): number | null {
  if (typeof value === 'string' && /^\s*-?\d+(\.\d+)?\s*%?\s*$/.test(value)) return Number.parseFloat(value);
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

/** The first of the names that the object has with a value that `as` accepts. */
export function first<T>(from: Fields, names: readonly string[], as: (value: unknown) => T | null): T | null {
  for (const name of names) {
    // `in` would find what every object inherits.
    const value = Object.hasOwn(from, name) ? as(from[name]) : null;
    if (value !== null) return value;
  }
  return null;
}
