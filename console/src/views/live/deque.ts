/** A list that grows and shrinks at both ends. Removing from the front costs the same however long it is. */
export class Deque<T> implements Iterable<T> {
  private items: (T | undefined)[] = [];
  private head = 0;

  get length(): number {
    return this.items.length - this.head;
  }

  /** The item at `index`, from 0; negative from the end, as in `Array.at`. */
  at(index: number): T | undefined {
    return index < 0 ? (this.length + index < 0 ? undefined : this.items[this.items.length + index]) : this.items[this.head + index];
  }

  push(item: T): void {
    this.items.push(item);
  }

  /** Removes and returns the first item. */
  shift(): T | undefined {
    if (!this.length) return undefined;
    const first = this.items[this.head];
    this.items[this.head] = undefined;
    this.head += 1;
    // Half of the array is free: moving the rest is paid by the shifts before it.
    if (this.head > 1024 && this.head * 2 > this.items.length) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
    return first;
  }

  /** Puts items, in their order, before the first one. */
  unshift(before: T[]): void {
    this.items = [...before, ...this.items.slice(this.head)];
    this.head = 0;
  }

  clear(): void {
    this.items = [];
    this.head = 0;
  }

  /** The index of the first item for which `after` is true; the length without one. `after` is false, then true, along the list. */
  search(after: (item: T) => boolean): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (after(this.items[this.head + middle] as T)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let at = this.head; at < this.items.length; at++) yield this.items[at] as T;
  }
}
