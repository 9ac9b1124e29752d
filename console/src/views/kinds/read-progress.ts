// Progress: numbers under their usual names, and the usual words.
import { type Fields, first, number, text } from './json';
import type { ProgressReading } from './reading';

const DONE = ['done', 'completed', 'complete', 'current', 'processed', 'loaded', 'received', 'sent', 'transferred', 'position', 'step', 'value', 'n'] as const;
const TOTAL = ['total', 'max', 'of', 'size', 'steps', 'count', 'length'] as const;
const PERCENT = ['percent', 'percentage', 'pct', 'progress_percent'] as const;
const FRACTION = ['fraction', 'ratio'] as const;
const LABEL = ['label', 'name', 'title', 'task', 'file', 'filename', 'stage', 'phase', 'message', 'msg', 'status', 'description', 'desc'] as const;
const BAR = ['id', 'job', 'task', 'file', 'filename', 'name', 'label'] as const;

/** Longest label, in UTF-16 units: what stands beside a bar. */
const MOST = 120;
const label = (value: string) => value.trim().slice(0, MOST);
const word = (value: unknown) => text(value) ?? (typeof value === 'number' ? String(value) : null);

/** The progress in an object; null when it has none. `sure`: the event's name says that it is progress. */
export function readProgressJson(json: Fields, sure: boolean): ProgressReading | null {
  const rest = {
    kind: 'progress' as const,
    bar: label(first(json, BAR, word) ?? ''),
    label: label(first(json, LABEL, text) ?? ''),
    unit: label(first(json, ['unit', 'units'], text) ?? '').slice(0, 12),
  };
  const total = first(json, TOTAL, number);
  const done = first(json, DONE, number);
  if (done !== null && total !== null && total > 0 && done >= 0) return { ...rest, done, total };
  const percent = first(json, PERCENT, number);
  if (percent !== null && percent >= 0) return { ...rest, done: percent, total: 100, unit: '%' };
  const fraction = first(json, FRACTION, number);
  if (fraction !== null && fraction >= 0 && fraction <= 1) return { ...rest, done: fraction * 100, total: 100, unit: '%' };
  const progress = number(json.progress);
  if (progress !== null && progress >= 0) {
    if (total !== null && total > 0) return { ...rest, done: progress, total };
    if (progress > 0 && progress < 1) return { ...rest, done: progress * 100, total: 100, unit: '%', scale: 'fraction' };
    return { ...rest, done: progress, total: 100, unit: '%', ...(progress === 1 ? { scale: 'one' as const } : {}) };
  }
  if (sure && done !== null && done >= 0) return { ...rest, done, total: null };
  return null;
}

/** `3 of 6`, `Step 3/6: linking`; not a date. */
const OF = /^([^\d]{0,60}?)\(?\[?(\d{1,15}(?:\.\d+)?)\s*(?:of|\/)\s*(\d{1,15}(?:\.\d+)?)\]?\)?(?![\d/.])\s*([^\d%]{0,80})$/i;
/** `42 %`, `Uploading: 42.5%`, `[===>   ] 42 %`. */
const PERCENT_AT_END = /^(.{0,80}?)[\s:(\[-]*(\d{1,3}(?:\.\d+)?)\s*%[\s)\]]*(?:done|complete|completed|finished)?[.\s]*$/i;
const PERCENT_FIRST = /^\s*(\d{1,3}(?:\.\d+)?)\s*%\s*(.{0,80})$/;

/** The progress in plain text; null when it has none. `sure`: the event's name or its topic says that it is progress. */
export function readProgressText(data: string, sure: boolean): ProgressReading | null {
  const line = data.trim();
  if (line.length > 200 || line.includes('\n')) return null;
  const made = (done: string, total: string, name: string, unit: string): ProgressReading => {
    const shown = label(name.replace(/[\s:\-[\](=>#.|█░▓]+$/u, '').replace(/^[\s:\-[\](=>#.|█░▓]+/u, ''));
    return { kind: 'progress', bar: '', label: shown, done: Number(done), total: Number(total), unit };
  };
  const of = OF.exec(line);
  if (of && Number(of[3]) > 0 && Number(of[2]) <= Number(of[3])) return made(of[2]!, of[3]!, of[4]!.trim() || of[1]!, '');
  const end = PERCENT_AT_END.exec(line);
  if (end && Number(end[2]) <= 100 && (sure || !/[a-z]/i.test(end[1]!) || /[:\])-]\s*$/.test(line.slice(0, line.indexOf(end[2]!)).trimEnd()))) {
    return made(end[2]!, '100', end[1]!, '%');
  }
  const start = sure ? PERCENT_FIRST.exec(line) : null;
  if (start && Number(start[1]) <= 100) return made(start[1]!, '100', start[2]!, '%');
  return sure && /^\d{1,3}(\.\d+)?$/.test(line) && Number(line) <= 100 ? made(line, '100', '', '%') : null;
}
