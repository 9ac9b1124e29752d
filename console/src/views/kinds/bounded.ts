/** A list of the newest items: older ones leave, and are counted. */
export class Bounded<T> implements Iterable<T> {
  private items: T[] = [];
  private gone = 0;

  constructor(private readonly most: number) {}

  get length(): number {
    return Math.min(this.items.length, this.most);
  }

  /** Items that have left because of the bound. */
  get dropped(): number {
    return this.gone + this.items.length - this.length;
  }

  push(item: T): void {
    this.items.push(item);
    // Moved once in a while, not with each item.
    if (this.items.length >= this.most * 2) this.trim();
  }

  /** The items that are held, oldest first. */
  get held(): readonly T[] {
    if (this.items.length > this.most) this.trim();
    return this.items;
  }

  get last(): T | undefined {
    return this.items.at(-1);
  }

  /** Removes the items for which `gone` is true; returns whether there was one. */
  remove(gone: (item: T) => boolean): boolean {
    const kept = this.held.filter((item) => !gone(item));
    const removed = kept.length < this.items.length;
    this.items = kept;
    return removed;
  }

  clear(): void {
    this.items = [];
    this.gone = 0;
  }

  [Symbol.iterator](): Iterator<T> {
    return this.held[Symbol.iterator]();
  }

  private trim() {
    this.gone += this.items.length - this.most;
    this.items = this.items.slice(-this.most);
  }
}
