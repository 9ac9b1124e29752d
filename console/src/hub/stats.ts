// The hub's figures: of this moment once a second, of the last 15 minutes, and why it takes no publishes.
import { HubError, jsonWithHeaders, request } from './request';
import { EventStream, type StreamState } from './stream';
import type { Stats, StatsHistory } from './types';

/** The hub sends figures once a second. After so long without any, the connection is given up, in milliseconds. */
const SILENCE = 10_000;

export interface StatsListener {
  /** `at`: when they came, in milliseconds since the epoch by this computer's clock. */
  onStats(stats: Stats, at: number): void;
  onState(state: StreamState): void;
}

/** Follows the figures until it is closed; reconnects by itself, or at once by `start`. */
export function followStats({ onStats, onState }: StatsListener): Pick<EventStream, 'start' | 'close'> {
  const stream = new EventStream({
    path: 'admin/stats',
    query: new URLSearchParams(),
    silence: SILENCE,
    onEvents: (events) => {
      // Each has all figures: of several that came together the newest counts.
      const newest = events.at(-1);
      if (newest) onStats(JSON.parse(newest.data) as Stats, Date.now());
    },
    onState,
  });
  stream.start();
  return stream;
}

export interface HistoryAnswer {
  history: StatsHistory;
  /** The hub's clock minus this computer's, in seconds; 0 when the answer does not say. */
  clockOffset: number;
}

/** @throws HubError */
export async function statsHistory(signal: AbortSignal): Promise<HistoryAnswer> {
  const { body, headers } = await jsonWithHeaders<StatsHistory>('admin/history', { signal });
  const date = Date.parse(headers.get('date') ?? '');
  // The header has whole seconds.
  const clockOffset = Number.isNaN(date) ? 0 : Math.round((date - Date.now()) / 1000);
  return { history: body, clockOffset };
}

/** The problem that a publish would get now; null when it would be accepted. */
export async function unreadiness(signal: AbortSignal): Promise<HubError | null> {
  try {
    await request('readyz', { signal });
    return null;
  } catch (error) {
    if (error instanceof HubError) return error;
    throw error;
  }
}

