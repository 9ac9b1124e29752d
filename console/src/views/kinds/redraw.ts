// When a display draws: once a frame at most, or twice a second for electronic paper, however many events come.

/** Time between two drawings on paper, in milliseconds. */
export const PAPER = 500;
/** A drawing that takes longer is followed by as long a pause, so that half of the time is left for the person; in milliseconds. */
const COSTLY = 25;
/** Longest such pause, in milliseconds. */
const LONGEST_PAUSE = 200;

export interface Clock {
  now(): number;
  /** Calls back at the next frame. */
  frame(call: () => void): number;
  cancelFrame(id: number): void;
  after(ms: number, call: () => void): number;
  cancelAfter(id: number): void;
}

const browser: Clock = {
  now: () => performance.now(),
  frame: (call) => requestAnimationFrame(call),
  cancelFrame: (id) => cancelAnimationFrame(id),
  after: (ms, call) => window.setTimeout(call, ms),
  cancelAfter: (id) => clearTimeout(id),
};

export class Redraw {
  /** Draws at most twice a second. */
  paper = false;
  private last = -Infinity;
  /** What the last drawing took, its painting included, in milliseconds. */
  private cost = 0;
  private frame: number | null = null;
  private timer: number | null = null;

  constructor(
    private readonly draw: () => void,
    private readonly clock: Clock = browser,
  ) {}

  /** Something has changed. */
  request(): void {
    if (this.frame !== null || this.timer !== null) return;
    const pause = this.cost > COSTLY ? Math.min(this.cost, LONGEST_PAUSE) : 0;
    const wait = this.last + Math.max(this.cost + pause, this.paper ? PAPER : 0) - this.clock.now();
    if (wait <= 0) this.atFrame();
    else
      this.timer = this.clock.after(wait, () => {
        this.timer = null;
        this.atFrame();
      });
  }

  stop(): void {
    if (this.frame !== null) this.clock.cancelFrame(this.frame);
    if (this.timer !== null) this.clock.cancelAfter(this.timer);
    this.frame = this.timer = null;
  }

  private atFrame() {
    this.frame = this.clock.frame(() => {
      this.frame = null;
      const begun = (this.last = this.clock.now());
      this.draw();
      // After the browser has painted.
      this.clock.after(0, () => (this.cost = this.clock.now() - begun));
    });
  }
}
