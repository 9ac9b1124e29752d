import type { KindEvent } from './reading';

let seq = 0;

/** An event for a test. */
export function event(given: Partial<KindEvent> & { data: string }): KindEvent {
  seq += 1;
  return { topic: 'a', id: `test-${seq}`, time: new Date(1_700_000_000_000 + seq * 100).toISOString(), event: 'message', replayed: false, ...given };
}
