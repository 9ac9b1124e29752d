// The settings of a topic as text in fields, and what was changed in them.
import type { Retention, Topic } from '../../hub/types';
import type { TopicSettings } from '../../hub/topics';
import { sizeOf, sizeText, wholeOf } from './limits';

export interface Fields {
  max_events: string;
  max_age: string;
  max_bytes: string;
  retry: string;
}

export function fieldsOf({ retention: { max_events, max_age, max_bytes }, retry }: Topic): Fields {
  return {
    max_events: max_events === null ? '' : String(max_events),
    max_age: max_age ?? '',
    max_bytes: max_bytes === null ? '' : sizeText(max_bytes),
    retry: retry === null ? '' : String(retry),
  };
}

/** Longest reconnect delay that the hub takes, in milliseconds. */
const MOST_RETRY = 86_400_000;

/** What a field's text means; undefined when it means nothing. The grammar of durations is the hub's. */
const PARSE: Record<keyof Fields, (text: string) => number | string | undefined> = {
  max_events: (text) => (wholeOf(text) >= 1 ? wholeOf(text) : undefined),
  max_age: (text) => text,
  max_bytes: (text) => (sizeOf(text) >= 1 ? sizeOf(text) : undefined),
  retry: (text) => (wholeOf(text) <= MOST_RETRY ? wholeOf(text) : undefined),
};

const WRONG: Record<keyof Fields, string> = {
  max_events: 'a whole number, 1 or more',
  max_age: '',
  max_bytes: 'a size, such as 10 MiB',
  retry: 'a whole number of milliseconds, a day at most',
};

/** The settings that differ from those of the topic; null while a field is wrong. `wrong` says why, by field. */
export function readFields(fields: Fields, topic: Topic): { settings: TopicSettings | null; wrong: Partial<Fields> } {
  const before = fieldsOf(topic);
  const wrong: Partial<Fields> = {};
  const values: Partial<Record<keyof Fields, number | string | null>> = {};
  for (const name of Object.keys(PARSE) as (keyof Fields)[]) {
    const text = fields[name].trim();
    if (text === before[name]) continue;
    const value = text === '' ? null : PARSE[name](text);
    if (value === undefined) wrong[name] = WRONG[name];
    else values[name] = value;
  }
  if (Object.keys(wrong).length) return { settings: null, wrong };
  const { retry, ...retention } = values;
  return {
    settings: {
      ...(Object.keys(retention).length && { retention: retention as Partial<Retention> }),
      ...(retry !== undefined && { retry: retry as number | null }),
    },
    wrong,
  };
}
