/** The reconnection time before a stream has sent `retry:`. WHATWG HTML, 9.2.3, says "a few seconds". */
export const DEFAULT_RETRY = 3_000;

/** Shortest delay, so that a client does not spin after `retry: 0`. */
const MIN = 100;

/** Longest delay after failures, unless `retry` is longer: a restarted hub is found within about a minute. */
const MAX = 60_000;

/** Longest `retry` or `Retry-After` that counts: a client that is disconnected for longer seems broken. */
const MAX_RETRY = 600_000;

/**
 * The delay in milliseconds after so many failures in a row, as `gapless tail` has it. After a stream that ended in
 * order it is `retry`, which the hub has randomized already. With each failure it doubles, and up to a quarter is
 * added by `chance` (0 to 1), because many clients reconnect to a restarted hub.
 */
export function delayOf(retry: number, retryAfter: number, failures: number, chance: number): number {
  const base = Math.min(Math.max(retry, MIN), MAX_RETRY);
  const after = Math.min(retryAfter, MAX_RETRY);
  if (failures === 0) return Math.max(base, after);
  const grown = Math.min(base * 2 ** Math.min(failures - 1, 16), Math.max(MAX, base));
  return Math.max(grown * (1 + chance / 4), after);
}

/** Waits; an abort ends it with the signal's reason. */
export function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const abort = () => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', abort, { once: true });
  });
}
