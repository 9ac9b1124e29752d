// The limits of a retention as people type them.

const SIZES: Record<string, number> = { '': 1, b: 1, k: 1024, kib: 1024, kb: 1000, m: 1024 ** 2, mib: 1024 ** 2, mb: 1e6, g: 1024 ** 3, gib: 1024 ** 3, gb: 1e9, t: 1024 ** 4, tib: 1024 ** 4, tb: 1e12 };

/** `10 MiB`, `500k`, `1048576` as bytes. NaN when it is no size. */
export function sizeOf(text: string): number {
  const match = /^([\d,]+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  const unit = match && SIZES[match[2]!.toLowerCase()];
  return match && unit ? Math.round(Number(match[1]!.replaceAll(',', '')) * unit) : NaN;
}

/** `10,000`, `10000` as a whole number. NaN when it is none. */
export const wholeOf = (text: string): number => (/^[\d,]+$/.test(text.trim()) ? Number(text.replaceAll(',', '')) : NaN);

/** Bytes in the largest unit that is exact: what [`sizeOf`] reads back. */
export function sizeText(bytes: number): string {
  for (const [unit, size] of [['TiB', 1024 ** 4], ['GiB', 1024 ** 3], ['MiB', 1024 ** 2], ['KiB', 1024]] as const) {
    if (bytes >= size && bytes % size === 0) return `${bytes / size} ${unit}`;
  }
  return String(bytes);
}
