// Which display suits what comes.
import type { LiveEvent } from './entry';
import { extent } from './pretty';

export type Display = 'text' | 'json' | 'kinds';
export const DISPLAYS = ['auto', 'text', 'json', 'kinds'] as const;
export type Choice = (typeof DISPLAYS)[number];

/** Events looked at: the first that come; after that the display stays. */
export const SAMPLE = 30;
/** So many events a second are read as lines, whatever they are. */
const FAST = 200;

/** @param ofKind whether an event has a display of its own */
export function detect(sample: LiveEvent[], perSecond: number, ofKind: (event: LiveEvent) => boolean): Display {
  const events = sample.filter(({ removed }) => !removed);
  if (!events.length || perSecond > FAST) return 'text';
  const most = (test: (event: LiveEvent) => boolean) => events.filter(test).length * 2 > events.length;
  if (most(ofKind)) return 'kinds';
  return most(({ data }) => {
    const { json, lines } = extent(data, 4);
    return json && lines === 4;
  })
    ? 'json'
    : 'text';
}
