/**
 * Counts the milliseconds since now. The larger of two clocks, because each may miss some: the monotonic one stands still
 * while a computer sleeps, on many systems, and the other one may be set back.
 */
export function stopwatch(): () => number {
  const [monotonic, wall] = [performance.now(), Date.now()];
  return () => Math.max(performance.now() - monotonic, Date.now() - wall);
}
