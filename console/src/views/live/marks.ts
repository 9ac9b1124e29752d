// The sentences of the lines between events.
import { count, plural } from '../../format';
import { visible } from '../../text';
import type { End, Gap } from '../../hub/types';
import type { Mark } from './entry';

const GONE: Record<Gap['reason'], string> = {
  trimmed: 'trimmed by retention',
  lost: 'lost with a part of the store',
  unknown: 'the last id is of another store',
  ahead: 'the last id is past the newest event',
};

export const gapText = ({ topic, after, resumes_at, reason }: Gap): string =>
  `Gap: events${topic ? ` of ${visible(topic)}` : ''}${after ? ` after ${visible(after)}` : ''} are gone: ${GONE[reason]}${
    resumes_at ? `; resuming at ${resumes_at}` : ''
  }`;

export const endText = ({ topic, reason }: End): string => `End: ${visible(topic)} was ${reason}`;

export function markText(mark: Mark): string {
  switch (mark.type) {
    case 'gap':
      return gapText(mark.gap);
    case 'end':
      return endText(mark.end);
    case 'live':
      return mark.replayed ? `Replay ended after ${plural(mark.replayed, 'event')}; live from here` : 'Nothing was kept; live from here';
    case 'back':
      return mark.text;
  }
}

export type Tone = 'good' | 'info' | 'warn' | 'bad';

export function markTone(mark: Mark): Tone {
  switch (mark.type) {
    case 'gap':
      return 'bad';
    case 'end':
      return 'warn';
    case 'live':
      return 'good';
    case 'back':
      return mark.tone;
  }
}

/** `12,345 earlier events are not shown` */
export const skippedText = (skipped: number): string => `${count(skipped)} earlier ${skipped === 1 ? 'event is' : 'events are'} not shown`;
