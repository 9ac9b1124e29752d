// A chart in words: for those who do not see it, and beside it.

export interface Line {
  name: string;
  /** A token of style/tokens.css, with its dashes. */
  colour: string;
  /** Null: not known. */
  values: (number | null)[];
}

export interface Extent {
  newest: number;
  lowest: number;
  highest: number;
}

/** Null when no value is known. */
export function extent(values: (number | null)[]): Extent | null {
  let found: Extent | null = null;
  for (const value of values) {
    if (value === null) continue;
    found ??= { newest: value, lowest: value, highest: value };
    found = { newest: value, lowest: Math.min(found.lowest, value), highest: Math.max(found.highest, value) };
  }
  return found;
}

/** The places of values that are known without a neighbour. */
export const alone = (values: ArrayLike<number | null | undefined>): number[] =>
  Array.from(values, (_, at) => at).filter((at) => values[at] != null && values[at - 1] == null && values[at + 1] == null);

/** `Events: in now 12 /s, lowest 0 /s, highest 40 /s; out no data.` */
export function inWords(label: string, lines: Line[], format: (value: number) => string): string {
  const parts = lines.map(({ name, values }) => {
    const known = extent(values);
    return known ? `${name} now ${format(known.newest)}, lowest ${format(known.lowest)}, highest ${format(known.highest)}` : `${name} no data`;
  });
  return `${label}: ${parts.join('; ')}.`;
}

/** `14 min ago`, `now`, for the axis. */
export function ago(seconds: number): string {
  return seconds < 1 ? 'now' : seconds < 60 ? `${Math.round(seconds)} s ago` : `${Math.round(seconds / 60)} min ago`;
}

/** Steps of an axis of bytes, within B, KiB, MiB and so on; the next one is 1 of the next. */
const BYTE_STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 256, 512];
const TENS = [1, 2, 2.5, 5, 10];

/** Round numbers of an axis from 0 to its top, which is not below `highest`: three at most. */
export function scaleSteps(highest: number, base: 10 | 1024 = 10): number[] {
  if (!(highest > 0)) return [0, 1];
  const half = highest / 2;
  const unit = base === 1024 ? 1024 ** Math.max(0, Math.floor(Math.log(highest) / Math.log(1024))) : 10 ** Math.floor(Math.log10(half));
  const times = (base === 1024 ? BYTE_STEPS : TENS).find((each) => each * unit >= half * ALMOST) ?? 10;
  const step = times * unit;
  return Array.from({ length: Math.ceil((highest * ALMOST) / step) + 1 }, (_, at) => at * step);
}

/** Against rounding: 0.3 is not above 3 × 0.1. */
const ALMOST = 1 - 1e-9;
