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

/** Up to `most` round numbers from 0 to the top of an axis that holds `highest`, the top last. */
export function scaleSteps(highest: number, most = 2, base: 10 | 1024 = 10): number[] {
  if (!(highest > 0)) return [0, 1];
  // A thousand of bytes is 1024: its round numbers are those of KiB, MiB and so on.
  const unit = base === 1024 ? 1024 ** Math.floor(Math.log(highest) / Math.log(1024)) : 1;
  const rough = highest / unit / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((times) => times * power).find((size) => size * most >= (highest / unit) * 0.999999)! * unit;
  const steps = Math.max(1, Math.ceil(highest / step - 1e-9));
  return Array.from({ length: steps + 1 }, (_, at) => at * step);
}
