// The events that the page holds: the newest, within bounds. What leaves is counted, and can be read again from the hub.
import { Deque } from './deque';
import type { Arrival, LiveEvent, LiveItem } from './entry';

/** Items held: ten seconds at 5,000 events a second, and more rows than a person scrolls through. */
export const MAX_ITEMS = 50_000;
/** Bytes of data held. JavaScript needs up to twice that: a tab of a telephone still bears it. */
export const MAX_BYTES = 32 * 1024 * 1024;
/** Items of older pages held besides, while the list is paused. */
export const MAX_READ_BACK = 20_000;
/** Event names counted; a publisher that invents names has the others counted together. */
export const MAX_NAMES = 200;

/** Gets the items of one arrival, in order. `skipped`: events before them that this listener will not get. */
export type BatchListener = (batch: LiveItem[], skipped: number) => void;

export interface Bounds {
  items: number;
  bytes: number;
}

export class LiveStore {
  /** What is shown: not what arrives during a pause. In the order of `n`. */
  readonly events = new Deque<LiveItem>();
  /** Rises when all are gone, or one was changed: what was derived from them is to be made anew. */
  revision = 0;
  /** Events that arrived since the last reset, and their bytes of data. */
  total = 0;
  totalBytes = 0;
  /** Events that arrived, are older than the first one shown, and are no longer held. */
  skipped = 0;
  /** Events held among `events`, without marks, and their bytes. */
  held = 0;
  heldBytes = 0;
  /** Events that arrived since the pause began. */
  waiting = 0;
  paused = false;
  /** Times that each event name arrived. */
  readonly names = new Map<string, number>();
  /** Arrivals of names beyond the bound. */
  otherNames = 0;

  private next = 0;
  private pending = new Deque<LiveItem>();
  private pendingBytes = 0;
  private droppedPending = 0;
  private batches = new Set<BatchListener>();
  private resets = new Set<() => void>();
  private removals = new Set<(id: string) => void>();
  private resumes = new Set<() => void>();
  private changes = new Set<() => void>();

  constructor(private readonly bounds: Bounds = { items: MAX_ITEMS, bytes: MAX_BYTES }) {}

  /** Calls `listener` for each batch as it comes; for what came during a pause when the pause ends. Returns what ends that. */
  subscribe(listener: BatchListener): () => void {
    return added(this.batches, listener);
  }

  /** Calls `listener` when all events are dropped because another selection is watched. */
  onReset(listener: () => void): () => void {
    return added(this.resets, listener);
  }

  /** Calls `listener` with the id of each event that was removed, also during a pause. */
  onRemoved(listener: (id: string) => void): () => void {
    return added(this.removals, listener);
  }

  /** Calls `listener` when a pause ends. */
  onResume(listener: () => void): () => void {
    return added(this.resumes, listener);
  }

  /** Calls `listener` after any change, perhaps very often: draw at most once a frame. */
  onChange(listener: () => void): () => void {
    return added(this.changes, listener);
  }

  /** Adds what arrived, and returns it with its numbers. */
  push(arrivals: Arrival[], now = Date.now()): LiveItem[] {
    const batch = arrivals.map((arrival) => ({ ...arrival, n: this.next++, at: now }) as LiveItem);
    for (const item of batch) {
      if (item.kind === 'event') this.count(item);
      if (this.paused) this.await(item);
      else this.keep(item);
    }
    if (this.paused) this.boundPending();
    else this.bound();
    for (const item of batch) if (item.kind === 'event' && item.event === 'hub.removed') this.forget(item);
    if (!this.paused) for (const listener of this.batches) listener(batch, 0);
    this.changed();
    return batch;
  }

  /** Puts older events, in their order, before the first one. */
  prepend(older: Arrival[], now = Date.now()): void {
    const first = this.events.at(0)?.n ?? this.next;
    const items = older.map((arrival, at) => ({ ...arrival, n: first - older.length + at, at: now }) as LiveItem);
    this.events.unshift(items);
    const events = items.filter((item) => item.kind === 'event');
    this.held += events.length;
    for (const { size } of events) this.heldBytes += size;
    this.skipped = Math.max(0, this.skipped - events.length);
    this.changed();
  }

  /** The hub keeps nothing older than what is held: what is not shown was trimmed. */
  nothingOlder(): void {
    this.skipped = 0;
    this.changed();
  }

  /** What is shown stays, and what arrives waits. */
  pause(): void {
    this.paused = true;
    this.changed();
  }

  /** Shows what waited. */
  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    const dropped = this.droppedPending;
    if (dropped) {
      // Between what was shown and what is kept of the pause events are missing: one place for all that is not shown.
      this.skipped += this.held + dropped;
      this.clearShown();
      this.revision += 1;
    }
    const batch = [...this.pending];
    for (const item of batch) this.keep(item);
    this.clearPending();
    this.bound();
    if (batch.length) for (const listener of this.batches) listener(batch, dropped);
    for (const listener of this.resumes) listener();
    this.changed();
  }

  /** Drops everything, for another selection. */
  reset(): void {
    this.clearShown();
    this.clearPending();
    this.names.clear();
    this.total = this.totalBytes = this.skipped = this.otherNames = 0;
    this.paused = false;
    this.revision += 1;
    for (const listener of this.resets) listener();
    this.changed();
  }

  /** Whether the next arrival drops the oldest. */
  get full(): boolean {
    return this.events.length >= this.bounds.items || this.heldBytes >= this.bounds.bytes * 0.98;
  }

  /** The place of an item in `events`; -1 when it is not there. */
  indexOf(n: number): number {
    const at = this.events.search((item) => item.n >= n);
    return this.events.at(at)?.n === n ? at : -1;
  }

  /** An item that is held has changed. */
  amended(): void {
    this.revision += 1;
    this.changed();
  }

  /** Tells listeners that something that they show has changed. */
  changed(): void {
    for (const listener of this.changes) listener();
  }

  private count(event: LiveEvent) {
    this.total += 1;
    this.totalBytes += event.size;
    if (this.paused) this.waiting += 1;
    const seen = this.names.get(event.event);
    if (seen !== undefined || this.names.size < MAX_NAMES) this.names.set(event.event, (seen ?? 0) + 1);
    else this.otherNames += 1;
  }

  private keep(item: LiveItem) {
    this.events.push(item);
    if (item.kind !== 'event') return;
    this.held += 1;
    this.heldBytes += item.size;
  }

  /** Drops the oldest. One event stays, however large it is. */
  private bound() {
    while (this.events.length > 1 && (this.events.length > this.bounds.items || this.heldBytes > this.bounds.bytes)) {
      const oldest = this.events.shift()!;
      if (oldest.kind !== 'event') continue;
      this.held -= 1;
      this.heldBytes -= oldest.size;
      this.skipped += 1;
    }
  }

  private await(item: LiveItem) {
    this.pending.push(item);
    if (item.kind === 'event') this.pendingBytes += item.size;
  }

  /** What waits has half of the room: what is shown stays meanwhile. */
  private boundPending() {
    while (this.pending.length > 1 && (this.pending.length > this.bounds.items / 2 || this.pendingBytes > this.bounds.bytes / 2)) {
      const oldest = this.pending.shift()!;
      if (oldest.kind !== 'event') continue;
      this.pendingBytes -= oldest.size;
      this.droppedPending += 1;
    }
  }

  /** Forgets the data of the event that a notice or a tombstone names. */
  private forget(notice: LiveEvent) {
    const id = removedId(notice);
    for (const listener of this.removals) listener(id);
    for (const list of [this.pending, this.events]) {
      for (let at = list.length - 1; at >= 0; at--) {
        const event = list.at(at)!;
        if (event.kind !== 'event' || event.id !== id || event === notice) continue;
        if (list === this.pending) this.pendingBytes -= event.size;
        else {
          this.heldBytes -= event.size;
          this.revision += 1;
        }
        Object.assign(event, { data: '', event: 'hub.removed', size: 0, removed: true });
        return;
      }
    }
  }

  private clearShown() {
    this.events.clear();
    this.held = this.heldBytes = 0;
  }

  private clearPending() {
    this.pending.clear();
    this.pendingBytes = this.droppedPending = this.waiting = 0;
  }
}

/** The id of the event that a `hub.removed` names; its own id when it is the tombstone. */
export function removedId(notice: LiveEvent): string {
  try {
    const { id } = JSON.parse(notice.data) as { id?: unknown };
    return typeof id === 'string' ? id : notice.id;
  } catch {
    return notice.id;
  }
}

function added<T>(set: Set<T>, item: T): () => void {
  set.add(item);
  return () => void set.delete(item);
}
