// Which items are rows, and where each stands. Made a few milliseconds at a time: the newest first, then the older ones.
import { Deque } from './deque';
import type { LiveEvent, LiveItem } from './entry';
import type { LiveStore } from './live-store';

export interface Row {
  item: LiveItem;
  /** Pixels from an origin that is the same for all rows; may be negative. */
  top: number;
  height: number;
}

/** Height of all rows together, in pixels: browsers end at about 17 million, and lose precision before. */
export const MAX_HEIGHT = 12_000_000;
/** Items looked at between two looks at the clock. */
const STEP = 200;

export class Rows {
  readonly rows = new Deque<Row>();
  /** Events among the rows. */
  matched = 0;
  /** Events that were looked at and are held. */
  looked = 0;
  /** The number of the first row: a row's number stays when rows before it come or go. */
  first = 0;
  /** Every item of the store was looked at. */
  complete = true;
  private revision: number;
  /** The items from `low` up to, without, `high` were looked at. */
  private low: number;
  private high: number;
  /** Rows beyond [`MAX_HEIGHT`] were left out: older events are held, and are no rows. */
  capped = false;

  /**
   * @param heightOf pixels of an item's row
   * @param wanted whether an event is a row; marks always are
   */
  constructor(
    private readonly store: LiveStore,
    private readonly heightOf: (item: LiveItem) => number,
    private readonly wanted: ((event: LiveEvent) => boolean) | null = null,
  ) {
    this.revision = store.revision;
    this.low = this.high = this.end();
  }

  /** Pixels of all rows. */
  get height(): number {
    const last = this.rows.at(-1);
    return last ? last.top + last.height - this.origin : 0;
  }

  /** The `top` of the first row. */
  get origin(): number {
    return this.rows.at(0)?.top ?? 0;
  }

  /** The index of the row at so many pixels below the origin. */
  indexAt(pixels: number): number {
    const place = pixels + this.origin;
    return Math.max(0, this.rows.search(({ top }) => top > place) - 1);
  }

  /** The index of an item's row, or else of the first row after it. */
  indexOf(n: number): number {
    return this.rows.search(({ item }) => item.n >= n);
  }

  /** Follows the store, for about `budget` milliseconds. */
  sync(budget: number, now: () => number = () => performance.now()): void {
    const { store } = this;
    if (store.revision !== this.revision) {
      this.revision = store.revision;
      this.rows.clear();
      this.matched = this.looked = 0;
      this.capped = false;
      this.low = this.high = this.end();
    }
    const until = now() + budget;
    this.drop(store.events.at(0)?.n ?? this.end());
    let at = store.events.search((item) => item.n >= this.high);
    for (let steps = 1; at < store.events.length; at++, steps++) {
      const item = store.events.at(at)!;
      const last = this.rows.at(-1);
      const row = this.row(item, last ? last.top + last.height : 0);
      if (row) this.rows.push(row);
      this.high = item.n + 1;
      if (steps % STEP === 0 && now() > until) break;
    }
    while (this.height > MAX_HEIGHT && this.rows.length > 1) {
      this.capped = true;
      this.drop(this.rows.at(1)!.item.n);
    }
    this.older(until, now);
    const first = store.events.at(0)?.n ?? this.end();
    this.complete = (this.capped || this.low <= first) && this.high >= this.end();
    // Items that are no rows leave unseen: only their number is known.
    this.looked = this.complete && !this.capped ? store.held : Math.min(this.looked, store.held);
  }

  /** Another height for one row; those after it move. */
  resize(index: number, height: number): void {
    const row = this.rows.at(index)!;
    const by = height - row.height;
    row.height = height;
    for (let at = index + 1; at < this.rows.length; at++) this.rows.at(at)!.top += by;
  }

  private end(): number {
    const last = this.store.events.at(-1);
    return last ? last.n + 1 : 0;
  }

  private row(item: LiveItem, top: number): Row | null {
    if (item.kind === 'event') {
      this.looked += 1;
      if (this.wanted && !this.wanted(item)) return null;
      this.matched += 1;
    }
    return { item, top, height: this.heightOf(item) };
  }

  /** Rows of items before `n` go. */
  private drop(n: number) {
    for (let first = this.rows.at(0); first && first.item.n < n; first = this.rows.at(0)) {
      this.rows.shift();
      this.first += 1;
      if (first.item.kind === 'event') this.matched -= 1;
    }
    if (n > this.low) {
      this.low = n;
      if (this.high < n) this.high = n;
    }
  }

  /** Looks at the items before the first one that was looked at. */
  private older(until: number, now: () => number) {
    const { events } = this.store;
    let at = events.search((item) => item.n >= this.low) - 1;
    while (at >= 0 && !this.capped) {
      const found: Row[] = [];
      let top = this.origin;
      for (const stop = Math.max(-1, at - STEP); at > stop; at--) {
        const item = events.at(at)!;
        const row = this.row(item, 0);
        this.low = item.n;
        if (!row) continue;
        top -= row.height;
        row.top = top;
        found.push(row);
      }
      this.rows.unshift(found.reverse());
      this.first -= found.length;
      if (this.height > MAX_HEIGHT) this.capped = true;
      if (now() > until) return;
    }
  }
}
