// Lines of logs: JSON as loggers write it, and plain lines.
import { type Fields, first, text } from './json';
import type { KindEvent, Level, LogReading } from './reading';

const LEVEL = ['level', 'severity', 'lvl', 'log_level', 'loglevel', 'levelname', 'log.level', '@l', 'priority'] as const;
const MESSAGE = ['msg', 'message', '@m', '@mt', 'event', 'text', 'short_message', 'log'] as const;
/** Fields that say what the row says already. */
const KNOWN = new Set<string>([...LEVEL, ...MESSAGE, 'time', 'timestamp', 'ts', '@timestamp', '@t', 'datetime', 'v', 'pid', 'hostname']);
/** Longest text of the other fields, in UTF-16 units, and how many of them: one row. */
const MOST_TEXT = 400;
const MOST_FIELDS = 12;

const WORDS: Record<string, Level> = {
  trace: 'trace', verbose: 'trace', finest: 'trace', debug: 'debug', dbg: 'debug', fine: 'debug', info: 'info', information: 'info', informational: 'info',
  inf: 'info', notice: 'notice', warn: 'warn', warning: 'warn', wrn: 'warn', error: 'error', err: 'error', severe: 'error', fatal: 'fatal', ftl: 'fatal',
  critical: 'fatal', crit: 'fatal', alert: 'fatal', panic: 'fatal', emerg: 'fatal', emergency: 'fatal',
};

/** The level of a logger's word or number. */
export function level(value: unknown, name = 'level'): Level | null {
  if (typeof value === 'string') {
    const word = value.trim().toLowerCase();
    if (Object.hasOwn(WORDS, word)) return WORDS[word]!;
    if (!/^\d{1,2}$/.test(word)) return null;
  } else if (typeof value !== 'number') return null;
  const number = Number(value);
  // pino and bunyan write 10 to 60; syslog writes 0 to 7, the worst first.
  if (number >= 10) return number >= 60 ? 'fatal' : number >= 50 ? 'error' : number >= 40 ? 'warn' : number >= 30 ? 'info' : number >= 20 ? 'debug' : 'trace';
  if (name === 'priority' || number < 0 || number > 7) return null;
  return (['fatal', 'fatal', 'fatal', 'error', 'warn', 'notice', 'info', 'debug'] as const)[Math.floor(number)]!;
}

/** The line in an object; null when it has no level. */
export function readLogJson(json: Fields): LogReading | null {
  const name = LEVEL.find((field) => Object.hasOwn(json, field) && level(json[field], field) !== null);
  const message = first(json, MESSAGE, text);
  if (name === undefined || message === null) return null;
  return { kind: 'log', level: level(json[name], name), message, fields: others(json) };
}

function others(json: Fields): string {
  let shown = '';
  let number = 0;
  for (const [name, value] of Object.entries(json)) {
    if (KNOWN.has(name)) continue;
    if (number++ === MOST_FIELDS || shown.length > MOST_TEXT) return shown.slice(0, MOST_TEXT) + ' …';
    const written = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
    shown += `${shown && ' '}${name}=${written.slice(0, MOST_TEXT)}`;
  }
  return shown.slice(0, MOST_TEXT);
}

/** Where a level may stand in a plain line, in UTF-16 units from its start. */
const HEAD = 120;
const STAMP = /^\s*\[?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d\d:\d\d:\d\d|\d{4}\/\d\d\/\d\d \d\d:\d\d|[IWEF]\d{4} \d\d:)/;
const NAMED = /(?:^|[\s[(<|:])(TRACE|DEBUG|DBG|INFO|INF|NOTICE|WARN|WARNING|WRN|ERROR|ERR|FATAL|CRITICAL|CRIT|PANIC|SEVERE|ALERT|EMERG)(?=$|[\s\])>|:,])/;
const LOWER = /(?:^|\s)\[?(trace|debug|info|notice|warn|warning|error|fatal|critical)(?:\]|:)/i;
const LOGFMT = /(?:^|\s)(?:level|lvl|severity)="?([a-z]+)/i;
const ACCESS = /"[A-Z]{3,8} [^"]* HTTP\/[\d.]+" (\d{3})\b/;
/** Colours of a terminal. */
const ANSI = /\u001b\[[\d;:]*m/g;

/** The line in plain text. `sure` is false for what only may be a line: then null without a sign of a log. */
export function readLogText(data: string, sure: boolean): LogReading | null {
  const line = data.replace(ANSI, '');
  const head = line.slice(0, HEAD);
  const found = plainLevel(head, line);
  if (!sure && found === null && !STAMP.test(head)) return null;
  return { kind: 'log', level: found, message: line, fields: '' };
}

function plainLevel(head: string, line: string): Level | null {
  const word = NAMED.exec(head)?.[1] ?? LOGFMT.exec(head)?.[1] ?? LOWER.exec(head)?.[1];
  if (word) return level(word);
  const glog = /^[IWEF](?=\d{4} \d\d:)/.exec(head)?.[0];
  if (glog) return ({ I: 'info', W: 'warn', E: 'error', F: 'fatal' } as Record<string, Level>)[glog]!;
  const status = Number(ACCESS.exec(line.slice(0, 4096))?.[1]);
  return status >= 500 ? 'error' : status >= 400 ? 'warn' : status >= 100 ? 'info' : null;
}

const NAME = /^(log|logs|line|stdout|stderr|trace|debug|info)$/i;
const ALARM = /^(warn|warning|error|fatal|critical)$/i;

/** Whether an event of this name is a line of a log; `maybe` where it may be a notification as well. */
export const isLogName = (name: string): boolean | 'maybe' => NAME.test(name) || (ALARM.test(name) && 'maybe');

/** The event as a line of a log. */
export function asLog(event: KindEvent, json: Fields | null): LogReading {
  const own = level(event.event) ?? (event.event === 'stderr' ? 'error' : null);
  const read = json && readLogJson(json);
  if (read) return read;
  const message = json && first(json, MESSAGE, text);
  if (json && message !== null) return { kind: 'log', level: own, message, fields: others(json) };
  const line = readLogText(event.data, true)!;
  return { ...line, level: line.level ?? own };
}
