// Decides what an event is: by its name and its shape, and where these say nothing, by what its topic has been so far.
import { object } from './json';
import { asLog, isLogName, readLogJson, readLogText } from './read-log';
import { readMedia } from './read-media';
import { asNotification, isNotificationName, readNotificationJson } from './read-notification';
import { readProgressJson, readProgressText } from './read-progress';
import { asTokens, isEndName, isPiece, isPieceName, pieceField, readFrame } from './read-tokens';
import type { Kind, KindEvent, Reading } from './reading';

const TEXT: Reading = { kind: 'text' };

const NAMES: [Kind, RegExp][] = [
  ['tokens', /^(tokens?|completions?|answers?|llm|chats?|generations?|replies|runs)$/i],
  ['progress', /^(progress|uploads?|downloads?)$/i],
  ['log', /^(logs?|stdout|stderr|syslog|journal|console)$/i],
  ['notification', /^(notices?|notifications?|alerts?|inbox|toasts?)$/i],
  ['media', /^(images?|cameras?|photos?|audio|sounds?|voice|snapshots?)$/i],
];

/** The kind that a topic's name suggests: its last telling part decides. */
export function kindOfName(topic: string): Kind | null {
  for (const part of topic.split(/[/._-]/).reverse()) {
    for (const [kind, name] of NAMES) if (name.test(part)) return kind;
  }
  return null;
}

/** The reading of an event by its own name and shape; null when they say nothing. */
export function readAlone(event: KindEvent, hint: Kind | null): Reading | null {
  const json = object(event.data);
  const media = readMedia(event, json);
  if (media) return media;
  const frame = readFrame(event, json);
  if (frame) return frame;
  if (isPieceName(event.event)) return asTokens(event, json);
  const progress = /^(progress|percent)$/i.test(event.event);
  if (progress) {
    const read = json ? readProgressJson(json, true) : readProgressText(event.data, true);
    if (read) return read;
  }
  if (isNotificationName(event.event)) return asNotification(event, json);
  const log = isLogName(event.event);
  if (log === true) return asLog(event, json);
  // A warning to people, where its topic is for people; else a line of a log.
  if (log === 'maybe' && hint !== 'notification') return asLog(event, json);
  if (json) {
    if (hint === 'notification') return readNotificationJson(json, true);
    return readLogJson(json) ?? readNotificationJson(json, false) ?? readProgressJson(json, false) ?? (isPiece(json) ? asTokens(event, json) : null);
  }
  if (hint === 'notification' || hint === 'tokens') return null;
  return readProgressText(event.data, hint === 'progress') ?? readLogText(event.data, false);
}

/** The event as this kind, whatever it looks like. */
export function readAs(event: KindEvent, kind: Kind): Reading {
  const json = object(event.data);
  switch (kind) {
    case 'tokens':
      return readFrame(event, json) ?? asTokens(event, json);
    case 'progress':
      return (json ? readProgressJson(json, true) : readProgressText(event.data, true)) ?? TEXT;
    case 'log':
      return asLog(event, json);
    case 'notification':
      return asNotification(event, json);
    case 'media':
      return readMedia(event, json) ?? TEXT;
    case 'text':
      return TEXT;
  }
}

/** Longest piece of a text that is taken for a token by its shape, in UTF-16 units. */
const TOKEN = 40;

/** Whether plain data looks like a piece of a sentence: short, and with a space at its edge. */
const isFragment = (data: string): boolean => data.length <= TOKEN && /^\s\S|\S[ \n]$/.test(data);

function isOther(event: KindEvent): boolean {
  const json = object(event.data);
  return json !== null && pieceField(json) === null;
}

/** What a topic has been so far. */
export class Sense {
  private readonly named: Kind | null;
  private readonly seen = new Map<Kind, number>();

  constructor(topic: string) {
    this.named = kindOfName(topic);
  }

  /** What an event without a sign of its own is taken for; null: nothing is known yet. */
  get leaning(): Kind | null {
    let most: Kind | null = null;
    for (const [kind, number] of this.seen) if (kind !== 'media' && (most === null || number > this.seen.get(most)!)) most = kind;
    return this.named ?? most;
  }

  read(event: KindEvent): Reading {
    const leaning = this.leaning;
    // Where answers or steps come, such a name ends them.
    if (isEndName(event.event) && leaning === 'tokens') return readAs(event, 'tokens');
    const alone = readAlone(event, leaning);
    if (alone) {
      if (alone.kind !== 'text') this.seen.set(alone.kind, (this.seen.get(alone.kind) ?? 0) + 1);
      return alone;
    }
    if (leaning === null && isFragment(event.data)) {
      this.seen.set('tokens', 1);
      return readAs(event, 'tokens');
    }
    // An object without a text is no piece of one.
    if (leaning === null || (leaning === 'tokens' && isOther(event))) return TEXT;
    return readAs(event, leaning);
  }
}

/** Whether an event has a display of its own, as the first of its topic. */
export const isOfKind = (event: KindEvent): boolean => new Sense(event.topic).read(event).kind !== 'text';
