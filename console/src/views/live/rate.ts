/** Whole seconds that a rate is the mean of: steady enough to read, soon enough to see a change. */
const WINDOW = 3;

/** Events and bytes a second, over the last whole seconds. Memory does not depend on the rate. */
export class RateMeter {
  private slots = Array.from({ length: WINDOW + 1 }, () => ({ second: -1, events: 0, bytes: 0 }));

  add(events: number, bytes: number, now = Date.now()): void {
    const second = Math.floor(now / 1000);
    const slot = this.slots[second % this.slots.length]!;
    if (slot.second !== second) Object.assign(slot, { second, events: 0, bytes: 0 });
    slot.events += events;
    slot.bytes += bytes;
  }

  read(now = Date.now()): { events: number; bytes: number } {
    const present = Math.floor(now / 1000);
    let events = 0;
    let bytes = 0;
    for (const slot of this.slots) {
      if (slot.second >= present || slot.second < present - WINDOW) continue;
      events += slot.events;
      bytes += slot.bytes;
    }
    return { events: events / WINDOW, bytes: bytes / WINDOW };
  }

  clear(): void {
    for (const slot of this.slots) slot.second = -1;
  }
}
