// A value of the hub in a component: loaded, and loaded again when what it depends on changes or every few seconds.
import { useEffect, useReducer, useRef, useState } from 'preact/hooks';
import { HubError } from '../hub/request';
import { token } from '../hub/credential';

export interface Resource<T> {
  value: T | null;
  /** The failure of the last attempt; the value of an earlier one stays. */
  error: HubError | null;
  loading: boolean;
  /** Loads it again now. */
  reload(): void;
}

/**
 * @param load gets a signal that is aborted when the component is gone or what it depends on has changed
 * @param dependencies the value is dropped and loaded anew when one of them, or the token, changes
 * @param everyMs loads again so long after each answer; not while the tab is hidden
 */
export function useResource<T>(load: (signal: AbortSignal) => Promise<T>, dependencies: unknown[], everyMs?: number): Resource<T> {
  const [value, setValue] = useState<T | null>(null);
  const [error, setError] = useState<HubError | null>(null);
  const [loading, setLoading] = useState(true);
  const [turn, reload] = useReducer<number, void>((before) => before + 1, 0);
  const subject = [...dependencies, token()];
  const shown = useRef<unknown[]>([]);
  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    if (subject.some((dependency, at) => dependency !== shown.current[at])) {
      shown.current = subject;
      setValue(null);
      setError(null);
    }
    const attempt = async () => {
      if (document.hidden && everyMs) {
        timer = setTimeout(() => void attempt(), everyMs);
        return;
      }
      setLoading(true);
      try {
        const loaded = await load(stop.signal);
        if (stop.signal.aborted) return;
        setValue(() => loaded);
        setError(null);
      } catch (failure) {
        if (stop.signal.aborted) return;
        if (!(failure instanceof HubError)) throw failure;
        setError(failure);
      }
      setLoading(false);
      if (everyMs) timer = setTimeout(() => void attempt(), everyMs);
    };
    void attempt();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [...subject, turn, everyMs]);
  return { value, error, loading, reload: () => reload() };
}
