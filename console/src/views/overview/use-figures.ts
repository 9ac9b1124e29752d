import { useEffect, useRef, useState } from 'preact/hooks';
import { token } from '../../hub/credential';
import { HubError } from '../../hub/request';
import { followStats, statsHistory, unreadiness } from '../../hub/stats';
import type { StreamState } from '../../hub/stream';
import type { Stats } from '../../hub/types';
import { type Past, noPast, remembered } from './past';
import { type Series, emptySeries, extended, seeded } from './series';

/** The history is read again so often, in milliseconds: only it knows the latency of commits within an interval. */
const AGAIN = 15_000;
/** The reason of a hub that is not ready is asked for so often, in milliseconds. */
const WHY_AGAIN = 5000;

export interface Figures {
  stats: Stats | null;
  /** When they came, in milliseconds since the epoch; null while there are none. */
  at: number | null;
  past: Past;
  series: Series;
  stream: StreamState;
  /** Why the charts do not begin 15 minutes ago. */
  historyError: HubError | null;
  /** The problem that a publish would get now. */
  why: HubError | null;
  /** Connects now. */
  reconnect(): void;
}

type Live = Pick<Figures, 'stats' | 'at' | 'past' | 'series'>;

const nothing: Live = { stats: null, at: null, past: noPast, series: emptySeries };

/** Follows the hub's figures as long as the component is shown. */
export function useFigures(): Figures {
  const held = token();
  const [live, setLive] = useState<Live>(nothing);
  const [stream, setStream] = useState<StreamState>({ name: 'connecting' });
  const [historyError, setHistoryError] = useState<HubError | null>(null);
  const reconnect = useRef(() => {});
  useEffect(() => {
    let seeding = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    // Of the hub's clock minus this computer's, in seconds.
    let offset = 0;
    setLive(nothing);
    const seed = async () => {
      clearTimeout(timer);
      seeding.abort();
      const mine = (seeding = new AbortController());
      try {
        const { history, clockOffset } = await statsHistory(mine.signal);
        if (mine.signal.aborted) return;
        offset = clockOffset;
        setLive((now) => ({ ...now, series: seeded(now.series, history) }));
        setHistoryError(null);
      } catch (error) {
        if (mine.signal.aborted) return;
        if (!(error instanceof HubError)) throw error;
        // Without a connection the state of the stream says so, and the next one asks again.
        if (error.status !== 0) setHistoryError(error);
      }
      timer = setTimeout(() => void seed(), AGAIN);
    };
    const followed = followStats({
      onStats: (stats, at) =>
        setLive((now) => ({ stats, at, past: remembered(now.past, stats, at), series: extended(now.series, stats, at / 1000 + offset) })),
      onState: (state) => {
        setStream(state);
        if (state.name === 'live') void seed();
        else clearTimeout(timer);
      },
    });
    reconnect.current = () => followed.start();
    return () => {
      followed.close();
      seeding.abort();
      clearTimeout(timer);
    };
  }, [held]);
  const ready = live.stats?.ready !== false;
  return { ...live, stream, historyError, why: useUnreadiness(ready), reconnect: () => reconnect.current() };
}

/** Why the hub is not ready, while it is not. */
function useUnreadiness(ready: boolean): HubError | null {
  const [why, setWhy] = useState<HubError | null>(null);
  useEffect(() => {
    setWhy(null);
    if (ready) return;
    const stop = new AbortController();
    const ask = async () => {
      try {
        const answer = await unreadiness(stop.signal);
        if (!stop.signal.aborted) setWhy(answer);
      } catch (error) {
        if (!stop.signal.aborted) throw error;
      }
    };
    void ask();
    const timer = setInterval(() => void ask(), WHY_AGAIN);
    return () => {
      stop.abort();
      clearInterval(timer);
    };
  }, [ready]);
  return why;
}
