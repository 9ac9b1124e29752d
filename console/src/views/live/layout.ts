// Heights of rows, in pixels, from the data alone: the list knows where each row is without drawing it.
import type { LiveEvent, LiveItem } from './entry';
import { markText } from './marks';
import { type Extent, extent } from './pretty';

/** A row of one line. */
export const ROW = 28;
/** The first line of a row in the display "Pretty JSON". */
export const HEAD = 30;
/** A line of data below it. */
export const LINE = 19;
/** Below the lines. */
const FOOT = 8;
/** The button that shows all. */
const BUTTON = 36;
/** Lines of data until the user asks for all. */
export const MOST_LINES = 16;
/** Lines of one row when all are asked for: the detail and a copy have the rest. */
export const ALL_LINES = 2000;
/** A line of a mark, what stands around them, and the width of a character at most. */
const MARK_LINE = 20;
const MARK_PADDING = 14;
const MARK_CHARACTER = 7;
export const linesOf = (event: LiveEvent, all: boolean): Extent => extent(event.data, all ? ALL_LINES : MOST_LINES);

/**
 * @param width of the list, in pixels
 * @param expanded the items whose lines are all shown
 */
export function heightOf(item: LiveItem, pretty: boolean, width: number, expanded: ReadonlySet<number>): number {
  if (item.kind === 'mark') {
    const characters = markText(item.mark).length;
    const perLine = Math.max(20, Math.floor((width - 28) / MARK_CHARACTER));
    return MARK_PADDING + MARK_LINE * Math.ceil(characters / perLine);
  }
  if (!pretty) return ROW;
  if (item.event === 'hub.removed') return HEAD;
  const { lines, more } = linesOf(item, expanded.has(item.n));
  return HEAD + lines * LINE + FOOT + (more || lines > MOST_LINES ? BUTTON : 0);
}
