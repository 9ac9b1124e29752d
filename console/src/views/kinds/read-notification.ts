// Messages to people: ntfy's JSON, and plain text.
import { type Fields, first, list, number, text } from './json';
import type { KindEvent, NotificationReading } from './reading';

const PRIORITIES: Record<string, number> = { min: 1, lowest: 1, low: 2, default: 3, normal: 3, medium: 3, high: 4, important: 4, max: 5, urgent: 5, critical: 5 };
const BODY = ['message', 'body', 'text', 'content', 'description'] as const;
/** Longest title and message, in UTF-16 units, and tags: what a person reads at a glance. */
const MOST_TITLE = 200;
const MOST_MESSAGE = 2000;
const MOST_TAGS = 5;

function priority(value: unknown): number {
  if (typeof value === 'string' && Object.hasOwn(PRIORITIES, value.toLowerCase())) return PRIORITIES[value.toLowerCase()]!;
  const given = number(value);
  return given === null ? 3 : Math.min(5, Math.max(1, Math.round(given)));
}

/** An address that is safe to follow; null for `javascript:` and all others but http and https. */
export function safeLink(value: unknown): string | null {
  if (typeof value !== 'string' || value.length > 2000) return null;
  try {
    const address = new URL(value);
    return /^https?:$/.test(address.protocol) ? address.href : null;
  } catch {
    return null;
  }
}

const tagsOf = (value: unknown): string[] =>
  (typeof value === 'string' ? value.split(',') : list(value))
    .flatMap((tag) => (typeof tag === 'string' && tag.trim() ? [tag.trim().slice(0, 40)] : []))
    .slice(0, MOST_TAGS);

/** The notification in an object; null when it is none. `sure`: the event's name or its topic says that it is one. */
export function readNotificationJson(json: Fields, sure: boolean): NotificationReading | null {
  const title = first(json, ['title', 'subject', 'summary'], text);
  const message = first(json, BODY, text);
  const marked = Object.hasOwn(json, 'priority') || Object.hasOwn(json, 'tags') || Object.hasOwn(json, 'click');
  if (message === null && title === null) return null;
  if (!sure && !(message !== null && (title !== null || marked))) return null;
  return {
    kind: 'notification',
    title: (title ?? '').slice(0, MOST_TITLE),
    message: (message ?? '').slice(0, MOST_MESSAGE),
    priority: priority(json.priority),
    tags: tagsOf(json.tags),
    click: safeLink(json.click ?? json.url ?? json.link),
  };
}

/** Whether an event of this name is a notification. */
export const isNotificationName = (name: string): boolean => /^(notification|notify|notice|alert|toast)$/i.test(name);

const URGENT = /^(warn|warning|error|fatal|critical|alert|alarm|emergency)$/i;

/** The event as a notification. */
export function asNotification(event: KindEvent, json: Fields | null): NotificationReading {
  const read = json && readNotificationJson(json, true);
  const urgent = URGENT.test(event.event);
  if (read) return { ...read, priority: Math.max(read.priority, urgent ? 4 : 1) };
  return {
    kind: 'notification',
    // A name that says something is the title.
    title: event.event === 'message' || isNotificationName(event.event) ? '' : event.event.slice(0, MOST_TITLE),
    message: event.data.slice(0, MOST_MESSAGE),
    priority: urgent ? 4 : 3,
    tags: [],
    click: null,
  };
}
