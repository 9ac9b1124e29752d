// How fast a run writes, measured from what arrives while it writes.

/** The time over which it is measured, in milliseconds: short enough to follow, long enough to be steady. */
const WINDOW = 4000;
/** Shortest time that is measured, in milliseconds. */
const SHORTEST = 400;

export class RateMeter {
  private arrivals: { time: number; pieces: number }[] = [];

  /** `pieces` came at `now`, in milliseconds. */
  add(pieces: number, now: number): void {
    if (!pieces) return;
    this.arrivals.push({ time: now, pieces });
    while (this.arrivals.length > 1 && this.arrivals[0]!.time < now - WINDOW) this.arrivals.shift();
  }

  /** Forgets what came: before it, replay came, which is not writing. */
  reset(): void {
    this.arrivals = [];
  }

  /** Pieces a second; null when it is not known. */
  perSecond(now: number): number | null {
    const recent = this.arrivals.filter(({ time }) => time >= now - WINDOW);
    if (recent.length < 2) return null;
    const span = Math.max(now, recent.at(-1)!.time) - recent[0]!.time;
    if (span < SHORTEST) return null;
    // The first one is where the time begins.
    return (recent.slice(1).reduce((sum, { pieces }) => sum + pieces, 0) / span) * 1000;
  }
}

/** Tokens a second of a whole run; null when they were not counted, or the time is too short. */
export function tokensPerSecond(output: number | null, started: string, ended: string | null): number | null {
  if (output === null || output <= 0 || ended === null) return null;
  const ms = Date.parse(ended) - Date.parse(started);
  return ms >= SHORTEST ? (output / ms) * 1000 : null;
}
