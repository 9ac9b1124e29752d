import { useEffect, useRef, useState } from 'preact/hooks';
import { HubError } from '../../hub/request';

/** One change at a time, by a button: whether it is on its way, and why the last one failed. */
export interface Action {
  busy: boolean;
  error: HubError | null;
  /** Ignored while another is on its way. */
  run(change: () => Promise<void>): void;
}

export function useAction(): Action {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<HubError | null>(null);
  const there = useRef(true);
  useEffect(() => () => void (there.current = false), []);
  const run = async (change: () => Promise<void>) => {
    if (busy) return;
    setBusy(true);
    setError(null);
    try {
      await change();
    } catch (failure) {
      if (!(failure instanceof HubError)) throw failure;
      if (there.current) setError(failure);
    } finally {
      if (there.current) setBusy(false);
    }
  };
  return { busy, error, run: (change) => void run(change) };
}
