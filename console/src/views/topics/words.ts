// Sentences about what a change does.
import { count, dateTime, plural } from '../../format';
import type { Gap } from '../../hub/types';
import type { Cost } from './cost';

/** What happens to the streams of a topic that ends. */
export const ends = (streams: number): string =>
  streams === 0
    ? 'No stream reads it now.'
    : `Its ${plural(streams, 'stream')} ${streams === 1 ? 'ends' : 'end'}; those that read other topics, too, go on with them.`;

/** What is gone among the events of a page. */
export function gapWords({ reason, after, resumes_at }: Gap): string {
  const from = after ? ` after ${after}` : '';
  const to = resumes_at ? `; the next kept is ${resumes_at}` : '';
  if (reason === 'lost') return `Events${from} were lost with a part of the store${to}.`;
  if (reason === 'unknown') return `The id${after ? ' ' + after : ''} is of another store. The oldest events of this one are shown.`;
  if (reason === 'ahead') return `The id${after ? ' ' + after : ''} is past the newest event: this store is an older copy. Its oldest events are shown.`;
  return `Events${from} were trimmed by retention${to}.`;
}

const RULED = { max_events: 'the number of events', max_age: 'the age', max_bytes: 'the size' };

/** What a change of the limits removes now. */
export function costWords({ removes, about, atMost, from, oldest, byRule }: Cost, events: number): string {
  const at = (time: string) => dateTime(new Date(time)).slice(0, 16);
  const sentences: string[] = [];
  if (removes > 0) {
    const number = `${atMost ? 'at most ' : about ? 'about ' : ''}${plural(removes, 'event')}`;
    sentences.push(removes >= events ? `Removes all ${plural(removes, 'event')} kept now.` : `Removes ${number} of ${count(events)}.`);
    if (from && oldest) sentences.push(`They are of ${at(from.time)} and later; the oldest kept would be of ${at(oldest.time)} (${oldest.id}).`);
    else if (from) sentences.push(`The oldest is of ${at(from.time)}.`);
  } else if (!byRule.length) sentences.push('Removes nothing now.');
  if (byRule.length) {
    const names = byRule.map((name) => RULED[name]).join(' and ');
    sentences.push(`For ${names} the hub’s own rule applies then, if it has one for this topic. What that removes cannot be told from here.`);
  }
  return sentences.join(' ');
}
