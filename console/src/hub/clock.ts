// The hub's clock beside this computer's, by the header Date of its responses.

/** Smaller differences are not corrected, in milliseconds: the header has whole seconds, and a response takes its time. */
const NEGLIGIBLE = 3000;

let ahead = 0;

/** Takes note of a response's Date. Without one, nothing changes. */
export function noteDate(header: string | null, now = Date.now()): void {
  const date = Date.parse(header ?? '');
  if (Number.isNaN(date)) return;
  ahead = Math.abs(date - now) < NEGLIGIBLE ? 0 : date - now;
}

/** By how many milliseconds the hub's clock is ahead of this computer's; 0 where they agree. */
export const hubAhead = (): number => ahead;

/** The time by the hub's clock, in milliseconds. */
export const hubNow = (): number => Date.now() + ahead;
