import { useEffect, useState } from 'preact/hooks';
import { maySubscribe } from '../../hub/access';
import { readPage } from '../../hub/events';
import { HubError } from '../../hub/request';
import type { Retention, Topic } from '../../hub/types';
import { type Cost, type Probe, costOf } from './cost';

/** How long after the last key the cost is worked out, in milliseconds. */
const TYPING = 350;

/** What these limits would remove now. Worked out anew while they are typed, and when the topic changes. */
export function useCost(topic: Topic, limits: Partial<Retention> | undefined): { value: Cost | null; failed: string | null } {
  const [found, setFound] = useState<{ for: string; value: Cost | null; failed: string | null } | null>(null);
  const asked = limits ? JSON.stringify(limits) : '';
  useEffect(() => {
    if (!limits) return;
    const stop = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const value = await costOf(topic, limits, probe(topic.topic, stop.signal));
        if (!stop.signal.aborted) setFound({ for: asked, value, failed: null });
      } catch (error) {
        if (stop.signal.aborted) return;
        if (!(error instanceof HubError)) throw error;
        setFound({ for: asked, value: null, failed: `What this removes could not be worked out: ${error.detail}` });
      }
    }, TYPING);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [asked, topic.topic, topic.first_id, topic.last_id]);
  return found?.for === asked ? found : { value: null, failed: null };
}

function probe(topic: string, signal: AbortSignal): Probe {
  // Who may not read the events gets the numbers, without the times.
  const one = async (start: Parameters<typeof readPage>[1]) => (maySubscribe(topic) ? ((await readPage(topic, start, 1, signal)).events[0] ?? null) : null);
  return {
    oldest: () => one({ from: 'earliest' }),
    first: (count) => one({ from: `last:${count}` }),
    since: (age) => {
      if (!maySubscribe(topic)) throw new HubError(0, '', 'your token may not read the events.');
      return one({ since: age });
    },
  };
}
