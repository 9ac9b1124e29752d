// JSON on several lines, made from the text itself: numbers, escapes and repeated keys stay as they were sent. Only as many lines
// are made, or counted, as are shown, so a megabyte costs no more than a screen.

export type SegmentKind = 'key' | 'string' | 'number' | 'word' | 'mark';
export interface Segment {
  kind: SegmentKind;
  text: string;
}
export interface Line {
  depth: number;
  segments: Segment[];
}

/** Characters of one segment that a line shows. */
const MOST_CHARACTERS = 4000;
/** Deeper levels are not JSON that the hub accepts. */
const MOST_DEPTH = 128;

interface Sink {
  segment(kind: SegmentKind, from: number, to: number): void;
  /** A new line; false stops. */
  line(depth: number): boolean;
}

/** Whether the text, as far as it was read, is an object or an array of JSON. */
function scan(text: string, sink: Sink): boolean {
  const word = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])/y;
  const open: string[] = [];
  let wants: 'value' | 'value or end' | 'key' | 'key or end' | 'comma or end' | 'nothing' = 'value';
  let at = skip(text, 0);
  if (text[at] !== '{' && text[at] !== '[') return false;
  while (at < text.length) {
    const sign = text[at]!;
    if (sign === '}' || sign === ']') {
      if (open.pop() !== (sign === '}' ? '{' : '[') || (wants !== 'comma or end' && !wants.endsWith('or end'))) return false;
      if (wants === 'comma or end' && !sink.line(open.length)) return true;
      sink.segment('mark', at, at + 1);
      wants = open.length ? 'comma or end' : 'nothing';
      at += 1;
    } else if (sign === ',') {
      if (wants !== 'comma or end') return false;
      sink.segment('mark', at, at + 1);
      if (!sink.line(open.length)) return true;
      wants = open.at(-1) === '{' ? 'key' : 'value';
      at += 1;
    } else {
      if (wants === 'comma or end' || wants === 'nothing') return false;
      // The first thing in an object or array begins a line.
      if (wants.endsWith('or end') && !sink.line(open.length)) return true;
      if (wants.startsWith('key')) {
        if (sign !== '"') return false;
        const end = stringEnd(text, at);
        if (end < 0) return false;
        sink.segment('key', at, end);
        at = skip(text, end);
        if (text[at] !== ':') return false;
        sink.segment('mark', at, at + 1);
        wants = 'value';
        at += 1;
      } else if (sign === '{' || sign === '[') {
        if (open.push(sign) > MOST_DEPTH) return false;
        sink.segment('mark', at, at + 1);
        wants = sign === '{' ? 'key or end' : 'value or end';
        at += 1;
      } else if (sign === '"') {
        const end = stringEnd(text, at);
        if (end < 0) return false;
        sink.segment('string', at, end);
        wants = 'comma or end';
        at = end;
      } else {
        word.lastIndex = at;
        if (!word.test(text)) return false;
        sink.segment(/[a-z]/.test(sign) ? 'word' : 'number', at, word.lastIndex);
        wants = 'comma or end';
        at = word.lastIndex;
      }
    }
    at = skip(text, at);
  }
  return wants === 'nothing';
}

function skip(text: string, at: number): number {
  for (;;) {
    const sign = text.charCodeAt(at);
    if (sign !== 32 && sign !== 10 && sign !== 13 && sign !== 9) return at;
    at += 1;
  }
}

/** The place after the quote that ends the string which begins at `at`; -1 without one. */
function stringEnd(text: string, at: number): number {
  for (let end = text.indexOf('"', at + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text[end - 1 - escapes] === '\\') escapes += 1;
    if (escapes % 2 === 0) return end + 1;
  }
  return -1;
}

export interface Extent {
  /** Whether it is shown as JSON; else as it is. */
  json: boolean;
  /** Lines, at most as many as were asked for. */
  lines: number;
  /** There are more. */
  more: boolean;
}

/** How many lines the text has, up to `most`, without making them. */
export function extent(text: string, most: number): Extent {
  let lines = 1;
  let more = false;
  const json = scan(text, {
    segment: () => undefined,
    line: () => {
      if (lines === most) more = true;
      else lines += 1;
      return !more;
    },
  });
  if (json) return { json, lines, more };
  lines = 1;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) {
    if (lines === most) return { json, lines, more: true };
    lines += 1;
  }
  return { json, lines, more: false };
}

/** The lines of a text that `extent` finds to be JSON, up to `most`. */
export function prettyLines(text: string, most: number): Line[] {
  const lines: Line[] = [{ depth: 0, segments: [] }];
  scan(text, {
    segment: (kind, from, to) =>
      lines.at(-1)!.segments.push({ kind, text: text.slice(from, Math.min(to, from + MOST_CHARACTERS)) + (to > from + MOST_CHARACTERS ? '…' : '') }),
    line: (depth) => {
      if (lines.length === most) return false;
      lines.push({ depth, segments: [] });
      return true;
    },
  });
  return lines;
}

/** The lines of any other text, up to `most`. */
export function plainLines(text: string, most: number): string[] {
  const lines: string[] = [];
  let from = 0;
  while (lines.length < most) {
    const end = text.indexOf('\n', from);
    const to = end < 0 ? text.length : end;
    lines.push(text.slice(from, Math.min(to, from + MOST_CHARACTERS)) + (to > from + MOST_CHARACTERS ? '…' : ''));
    if (end < 0) break;
    from = end + 1;
  }
  return lines;
}

/** The whole text on several lines, to be copied; the text itself when it is not JSON. */
export function prettyText(text: string, most: number): string {
  if (!extent(text, most).json) return text;
  return prettyLines(text, most)
    .map(({ depth, segments }) => '  '.repeat(depth) + segments.map((segment) => (segment.text === ':' ? ': ' : segment.text)).join(''))
    .join('\n');
}
