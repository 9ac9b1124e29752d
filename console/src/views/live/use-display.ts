import { useEffect, useState } from 'preact/hooks';
import { isOfKind } from '../kinds/detect';
import { type Choice, type Display, SAMPLE, detect } from './detect';
import type { LiveEvent } from './entry';
import type { Watch } from './watch';

/** The display in use, by choice or by what comes; and whether nothing has come yet. */
export function useDisplay(watch: Watch, choice: Choice): { display: Display; empty: boolean } {
  const { store } = watch;
  const [found, setFound] = useState<Display>('text');
  const [empty, setEmpty] = useState(store.events.length === 0);
  useEffect(() => {
    let sample: LiveEvent[] = [];
    let settled = false;
    const look = (events: LiveEvent[]) => {
      sample = [...sample, ...events.slice(0, SAMPLE)].slice(0, SAMPLE);
      setFound(detect(sample, watch.rate.read().events, isOfKind));
      settled = sample.length === SAMPLE;
    };
    const stops = [
      store.onReset(() => {
        sample = [];
        settled = false;
        setFound('text');
      }),
      store.subscribe((batch) => {
        if (!settled) look(batch.filter((item) => item.kind === 'event'));
      }),
      store.onChange(() => setEmpty(store.total === 0 && store.held === 0 && !hasNews(watch))),
    ];
    look([...store.events].slice(0, SAMPLE).filter((item) => item.kind === 'event'));
    return () => stops.forEach((stop) => stop());
  }, [watch]);
  return { display: choice === 'auto' ? found : choice, empty };
}

/** Whether there is a mark that says more than that nothing was kept. */
function hasNews({ store }: Watch): boolean {
  for (const item of store.events) if (item.kind === 'mark' && item.mark.type !== 'live') return true;
  return false;
}
