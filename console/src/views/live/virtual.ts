// Where a scroll container with virtual rows is: at the end, which it follows, or at a row, which stays where it is while rows before
// it leave and others come.
import type { RefObject } from 'preact';
import { useEffect, useLayoutEffect, useReducer, useRef, useState } from 'preact/hooks';
import type { LiveStore } from './live-store';
import { useFrames } from './hooks';
import type { Rows } from './rows';

/** Milliseconds of a frame for looking at items: the rest is for drawing. */
const BUDGET = 6;
/** Rows drawn beyond the window, above and below, so that scrolling shows no emptiness. */
const OVERSCAN = 5;
/** So near to the end, in pixels, it is the end. */
const NEAR = 6;
/** Rows before the one that is looked at, below which the list pauses: else it would leave soon. Several reads of the network have fewer. */
const MARGIN = 5000;

export interface Virtual {
  container: RefObject<HTMLDivElement>;
  /** The rows to draw: from, up to without. */
  from: number;
  to: number;
  height: number;
  width: number;
  following: boolean;
  onScroll(): void;
  /** Follows the end. */
  follow(): void;
  /** Leaves the end. */
  leave(): void;
  /** Brings a row into sight. */
  reveal(index: number): void;
  /** Draws again. */
  draw(): void;
}

export function useVirtual(store: LiveStore, rows: Rows): Virtual {
  const container = useRef<HTMLDivElement>(null);
  const [place] = useState({ following: true, anchor: null as { n: number; offset: number } | null, set: -1, height: 0, width: 0 });
  const [, turn] = useReducer<number, void>((before) => before + 1, 0);
  const draw = useFrames(store, () => {
    rows.sync(BUDGET);
    hold();
    return !rows.complete;
  });
  /** Pauses before what is looked at leaves the store. */
  const hold = () => {
    if (place.anchor && !place.following && !store.paused && store.full && rows.indexOf(place.anchor.n) < MARGIN) store.pause();
  };

  /** Pixels above the window. */
  const above = (): number => {
    const end = Math.max(0, rows.height - place.height);
    if (place.following || !place.anchor) return end;
    const row = rows.rows.at(Math.min(rows.indexOf(place.anchor.n), rows.rows.length - 1));
    if (!row) return 0;
    return Math.min(end, Math.max(0, row.top - rows.origin - (row.item.n === place.anchor.n ? place.anchor.offset : 0)));
  };
  const y = above();

  useLayoutEffect(() => {
    const element = container.current;
    if (!element || Math.abs(element.scrollTop - y) < 1) return;
    element.scrollTop = y;
    place.set = element.scrollTop;
  });
  useEffect(() => {
    const element = container.current!;
    const observer = new ResizeObserver(() => {
      place.height = element.clientHeight;
      place.width = element.clientWidth;
      turn();
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useEffect(() => draw(), [rows]);

  const anchorAt = (pixels: number) => {
    const row = rows.rows.at(rows.indexAt(pixels));
    place.anchor = row ? { n: row.item.n, offset: row.top - rows.origin - pixels } : null;
    hold();
  };
  const leave = () => {
    if (!place.following) return;
    place.following = false;
    anchorAt(container.current?.scrollTop ?? 0);
    turn();
  };
  return {
    container,
    from: Math.max(0, rows.indexAt(y) - OVERSCAN),
    to: Math.min(rows.rows.length, rows.indexAt(y + place.height) + 1 + OVERSCAN),
    height: rows.height,
    width: place.width,
    following: place.following,
    onScroll: () => {
      const element = container.current;
      // The list may be gone before its last scroll event comes.
      if (!element || Math.abs(element.scrollTop - place.set) < 1) return;
      place.set = -1;
      place.following = element.scrollTop + element.clientHeight >= element.scrollHeight - NEAR;
      anchorAt(element.scrollTop);
      turn();
    },
    follow: () => {
      place.following = true;
      turn();
    },
    leave,
    reveal: (index) => {
      const row = rows.rows.at(index);
      if (!row) return;
      const top = row.top - rows.origin;
      const now = above();
      const wanted = top < now ? top : top + row.height > now + place.height ? top + row.height - place.height : now;
      place.following = index === rows.rows.length - 1;
      anchorAt(wanted);
      turn();
    },
    draw,
  };
}
