// Gaps, ends and lost connections, above a display that has no rows for them.
import { useEffect, useState } from 'preact/hooks';
import { clock } from '../../format';
import type { LiveItem, LiveMark } from './entry';
import { useFrames } from './hooks';
import type { LiveStore } from './live-store';
import { markText, markTone } from './marks';

/** The newest so many are shown. */
const SHOWN = 3;

const telling = (items: Iterable<LiveItem>): LiveMark[] => {
  const found: LiveMark[] = [];
  for (const item of items) if (item.kind === 'mark' && item.mark.type !== 'live') found.push(item);
  return found.slice(-SHOWN);
};

export function RecentMarks({ store }: { store: LiveStore }) {
  const [marks, setMarks] = useState(() => telling(store.events));
  useEffect(() => {
    const stops = [
      store.onReset(() => setMarks([])),
      store.subscribe((batch) => {
        const more = telling(batch);
        if (more.length) setMarks((before) => [...before, ...more].slice(-SHOWN));
      }),
    ];
    return () => stops.forEach((stop) => stop());
  }, [store]);
  // A mark may say more later.
  useFrames(store, () => false);
  if (!marks.length) return null;
  return (
    <ul class="live-recent" aria-label="Gaps, ends and lost connections">
      {marks.map(({ n, at, mark }) => (
        <li key={n} data-tone={markTone(mark)}>
          <time dateTime={new Date(at).toISOString()}>{clock(new Date(at)).slice(0, 8)}</time> {markText(mark)}
        </li>
      ))}
    </ul>
  );
}
