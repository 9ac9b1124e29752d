// Numbers, sizes and times for people. English, as the page is.

const integer = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });

/** 1,234,567 */
export const count = (value: number): string => integer.format(value);

/** 1,234 · 12.3 k · 1.23 M: three digits where a number stands in a small place. */
export function brief(value: number): string {
  const size = Math.abs(value);
  if (size < 10_000) return size >= 100 || Number.isInteger(value) ? integer.format(value) : short.format(value);
  for (const [unit, name] of [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']] as const) {
    if (size >= unit) return `${short.format(value / unit)} ${name}`;
  }
  return integer.format(value);
}

/** 1.5 KiB */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let at = 0;
  let rest = value;
  while (Math.abs(rest) >= 1024 && at < units.length - 1) {
    rest /= 1024;
    at += 1;
  }
  return `${at ? short.format(rest) : integer.format(rest)} ${units[at]}`;
}

/** 2.1 ms */
export const milliseconds = (value: number): string => (value >= 10_000 ? `${short.format(value / 1000)} s` : `${short.format(value)} ms`);

/** 3 d 4 h, 12 min 5 s, 0.4 s: two units at most. */
export function duration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 10) return `${short.format(Math.max(0, seconds))} s`;
  const parts: [number, string][] = [[86_400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  let rest = Math.floor(seconds);
  const words: string[] = [];
  for (const [size, name] of parts) {
    const whole = Math.floor(rest / size);
    rest -= whole * size;
    if (whole || words.length) words.push(`${whole} ${name}`);
    if (words.length === 2) break;
  }
  return words.filter((word) => !word.startsWith('0 ')).join(' ');
}

const two = (value: number) => String(value).padStart(2, '0');

/** 14:03:07.250, in this browser's time zone. */
export function clock(time: Date): string {
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.${String(time.getMilliseconds()).padStart(3, '0')}`;
}

/** 2026-11-26 14:03:07.250, in this browser's time zone. */
export function dateTime(time: Date): string {
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${clock(time)}`;
}

/** `1 event`, `2 events`. */
export const plural = (value: number, one: string, many = one + 's'): string => `${count(value)} ${value === 1 ? one : many}`;
