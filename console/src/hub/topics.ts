// Topics, as docs/PROTOCOL.md describes them under "Topics".
import { topicPath } from './address';
import { json, request } from './request';
import type { Retention, Topic, TopicsPage } from './types';

/** Topics of one page; the hub's own maximum is 1000. */
export interface TopicsQuery {
  /** Only names that contain this, whatever the case of ASCII letters. */
  search: string;
  /** Only names after this one, in byte order; null begins with the first. */
  after: string | null;
  limit: number;
}

/** A page of topics, in the byte order of their names. */
export function listTopics({ search, after, limit }: TopicsQuery, signal?: AbortSignal): Promise<TopicsPage> {
  const query = new URLSearchParams({ limit: String(limit) });
  if (search) query.set('search', search);
  if (after !== null) query.set('after', after);
  return json<TopicsPage>('topics', { query, ...(signal && { signal }) });
}

/** @throws HubError `topic-unknown` when there is no such topic */
export const readTopic = (topic: string, signal?: AbortSignal): Promise<Topic> =>
  json<Topic>(topicPath(topic), signal ? { signal } : {});

/** Settings to change; null returns to the rule of the hub. What is absent stays. */
export interface TopicSettings {
  retention?: Partial<Retention>;
  retry?: number | null;
  closed?: boolean;
}

/** Changes settings, and creates the topic if there is none. Returns the new state. */
export const configureTopic = (topic: string, settings: TopicSettings): Promise<Topic> =>
  json<Topic>(topicPath(topic), { method: 'PUT', body: JSON.stringify(settings) });

/** Deletes the topic's events and settings, and ends its streams. */
export async function deleteTopic(topic: string): Promise<void> {
  await request(topicPath(topic), { method: 'DELETE' });
}
