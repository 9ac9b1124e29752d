// Which rows of a long list are in the page, and how newer figures get into the rows that are loaded.
import type { Topic, TopicsPage } from '../../hub/types';
import { byteOrder } from './order';

/** Rows beyond the edge of the window, so that scrolling does not show empty places. */
export const OVERSCAN = 12;

/**
 * The rows to render: from, and to (exclusive).
 * @param top the upper edge of the window, in pixels below the upper edge of the list
 */
export function renderedRows(top: number, windowHeight: number, rowHeight: number, rows: number): { from: number; to: number } {
  const first = Math.floor(top / rowHeight) - OVERSCAN;
  const last = Math.ceil((top + windowHeight) / rowHeight) + OVERSCAN;
  const to = Math.max(0, Math.min(rows, last));
  return { from: Math.max(0, Math.min(first, to)), to };
}

/**
 * Puts a page that was read again into the rows: it replaces all names between `after` (exclusive) and its end, so that new topics
 * appear and deleted ones go.
 */
export function refreshed(rows: Topic[], after: string | null, page: TopicsPage): Topic[] {
  const last = page.topics.at(-1)?.topic ?? null;
  if (page.next !== null && last === null) return rows;
  const before = after === null ? [] : rows.filter(({ topic }) => byteOrder(topic, after) <= 0);
  const rest = page.next === null ? [] : rows.filter(({ topic }) => byteOrder(topic, last!) > 0);
  return [...before, ...page.topics, ...rest];
}
