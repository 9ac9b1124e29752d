// Reads the events of a place, and what is beyond them.
import { type PageStart, readPage } from '../../hub/events';
import { isBefore, shifted } from '../../hub/id';
import type { Envelope, Gap, Topic } from '../../hub/types';
import type { Place } from './place';

/** Events of one page. */
export const PAGE = 50;

export interface Shown {
  /** In id order. */
  events: Envelope[];
  /** The event that was asked for, if it is among them. */
  target: string | null;
  /** What was asked for and is not there, in words. */
  missing: string | null;
  /** What the hub says is gone among them; not what retention has trimmed, because the page begins after that. */
  gaps: Gap[];
}

/** @param tail the topic's newest id, kept or not; null when it never had an event */
export async function readPlace(topic: string, place: Place, tail: string | null, signal: AbortSignal): Promise<Shown> {
  const gaps: Gap[] = [];
  const read = async (start: PageStart, limit: number) => {
    const page = await readPage(topic, start, limit, signal);
    gaps.push(...page.gaps.filter(({ reason }) => reason !== 'trimmed'));
    return page.events;
  };
  const plain = (events: Envelope[]): Shown => ({ events, target: null, missing: null, gaps });
  switch (place.kind) {
    case 'newest':
      return plain(tail === null ? [] : await read({ before: shifted(tail, 1) }, PAGE));
    case 'before':
      return plain(await read({ before: place.id }, PAGE));
    case 'after':
      return plain(await read({ last_event_id: place.id }, PAGE));
    case 'at': {
      const events = await around(place.id);
      const found = events.some(({ id }) => id === place.id);
      return { events, target: found ? place.id : null, missing: found ? null : `This topic keeps no event ${place.id}. Its neighbours are shown.`, gaps };
    }
    case 'since': {
      const [first] = await read({ since: place.time }, 1);
      if (first) return { events: await around(first.id), target: first.id, missing: null, gaps };
      const newest = tail === null ? [] : await read({ before: shifted(tail, 1) }, PAGE);
      return { events: newest, target: null, missing: 'No kept event is that new. The newest are shown.', gaps };
    }
  }

  async function around(id: string): Promise<Envelope[]> {
    const [older, from] = await Promise.all([read({ before: id }, PAGE / 2), read({ last_event_id: shifted(id, -1) }, PAGE / 2)]);
    return [...older, ...from];
  }
}

/** The pages beside the events that are shown; null where nothing is. */
export function beside(events: Envelope[], { first_id, last_id }: Topic): { older: Place | null; newer: Place | null } {
  const [first, last] = [events[0], events.at(-1)];
  if (!first || !last) return { older: null, newer: null };
  return {
    older: first_id !== null && isBefore(first_id, first.id) ? { kind: 'before', id: first.id } : null,
    newer: last_id !== null && isBefore(last.id, last_id) ? { kind: 'after', id: last.id } : null,
  };
}
