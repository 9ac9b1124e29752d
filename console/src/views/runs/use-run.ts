// Reads a run in a component: its text by its stream, its figures by requests.
import { useEffect, useMemo, useReducer } from 'preact/hooks';
import { token } from '../../hub/credential';
import { type WholeRun, getRun, listRuns, runPath } from '../../hub/runs';
import { EventStream, type StreamState } from '../../hub/stream';
import type { Run } from '../../hub/types';
import { type Resource, useResource } from '../../ui/resource';
import { Redraw } from '../kinds/redraw';
import { eink } from '../kinds/settings';
import { RateMeter } from './rate';
import { RunReader } from './run-reader';

/** How often the figures of a running run are read again, in milliseconds. */
const EVERY = 2000;
/** How often what depends on the time is drawn, in milliseconds. */
const TICK = 1000;
/** What comes so soon after a connection was made was written before it, in milliseconds. */
const REPLAY = 400;

export interface RunShown {
  reader: RunReader;
  meter: RateMeter;
  stream: StreamState;
  info: Resource<Run | WholeRun>;
}

export function useRun(id: string): RunShown {
  const [, draw] = useReducer<number, void>((drawn) => drawn + 1, 0);
  const held = useMemo(() => ({ reader: new RunReader(), meter: new RateMeter(), stream: { name: 'connecting' } as StreamState, info: null as Run | null }), [id, token()]);
  const redraw = useMemo(() => new Redraw(() => draw()), []);
  redraw.paper = eink.value;
  const ended = held.reader.ending !== null || held.stream.name === 'ended';

  const info = useResource<Run | WholeRun>(
    async (signal) => {
      // The whole run has all of its text, so while it runs the list is asked.
      const known = held.info;
      const listed = known && !ended ? (await listRuns({ topic: known.topic, status: 'running', limit: 1 }, signal)).runs : [];
      return (held.info = listed.find(({ run }) => run === id) ?? (await getRun(id, signal)));
    },
    [id, ended],
    ended ? undefined : EVERY,
  );

  useEffect(() => {
    const { reader, meter } = held;
    let since = 0;
    const stream = new EventStream({
      path: runPath(id) + '/events',
      query: new URLSearchParams(),
      onEvents(events) {
        const pieces = reader.push(events);
        const now = performance.now();
        if (now - since > REPLAY) meter.add(pieces, now);
        // The stream ends by itself; a reconnect would only be told so.
        if (reader.ending) stream.close();
        redraw.request();
      },
      onState(state) {
        held.stream = state;
        if (state.name === 'connecting') reader.reconnecting();
        if (state.name === 'ended') reader.finish();
        if (state.name === 'live') {
          since = performance.now();
          meter.reset();
        }
        redraw.request();
      },
    });
    stream.start();
    const tick = setInterval(() => reader.ending || redraw.request(), TICK);
    return () => {
      stream.close();
      clearInterval(tick);
      redraw.stop();
    };
  }, [held]);
  return { reader: held.reader, meter: held.meter, stream: held.stream, info };
}
