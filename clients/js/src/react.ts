'use client';
import { useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import { EventLog, type LogOptions, type LogState } from './log.js';

export { EventLog, type LogItem, type LogOptions, type LogState } from './log.js';

/**
 * The newest events of topics, as state of a component. With options the log is the component's own and begins anew
 * when the component is mounted again. A log from outside resumes then, and several components may share it.
 */
export function useEvents(source: EventLog | LogOptions): LogState {
  const shared = source instanceof EventLog ? source : null;
  const options = source instanceof EventLog ? null : source;
  const latest = useRef(options);
  // A new selection is a new log. A new token is for the next connection of the same one.
  const selection = options && [
    options.url,
    options.topics,
    options.from,
    options.since,
    options.cursor,
    options.limit,
  ];
  const key = JSON.stringify(selection);
  const log = useMemo(() => {
    if (!options) return shared!;
    const token = async () => {
      const now = latest.current?.token ?? '';
      return typeof now === 'function' ? now() : now;
    };
    return new EventLog({ ...options, token: options.token === undefined ? undefined : token });
  }, [shared, key]);
  // Before the effect that connects.
  useEffect(() => {
    latest.current = options;
  });
  return useSyncExternalStore(log.subscribe, log.snapshot, log.snapshot);
}
