// The displays of all topics of a selection. Everything in it is bounded: topics here, rows and characters in the displays.
import { object, text } from './json';
import type { Kind, KindEvent } from './reading';
import { type Notice, TopicDisplay } from './topic-display';

/** Topics shown at once; the one that is silent for the longest leaves. */
export const MOST_TOPICS = 16;
/** Notifications that wait to be told. More than a few at once are told by their number. */
const MOST_WAITING = 3;

export interface Told {
  /** The newest, oldest first. */
  notices: { topic: string; notice: Notice }[];
  /** Notifications before them that are not among these. */
  more: number;
}

export class KindsModel {
  /** The newest heard is last. */
  private readonly topics = new Map<string, TopicDisplay>();
  private readonly order: string[] = [];
  private readonly choices = new Map<string, Kind>();
  private waiting: Told = { notices: [], more: 0 };
  /** Topics that have left because of the bound. */
  dropped = 0;

  /** In the order in which they appeared. */
  get shown(): TopicDisplay[] {
    return this.order.flatMap((topic) => this.topics.get(topic) ?? []);
  }

  /** The kind chosen for a topic; null: by itself. */
  choice(topic: string): Kind | null {
    return this.choices.get(topic) ?? null;
  }

  push(event: KindEvent): void {
    if (event.event === 'hub.removed') return this.forget(event);
    const display = this.display(event.topic);
    const notice = display.push(event);
    // What is replayed was told before, or is old.
    if (notice && !event.replayed) this.wait(event.topic, notice);
  }

  /** The topic has ended. */
  end(topic: string): void {
    this.topics.get(topic)?.end();
  }

  /** Events of the topic are missing, before those that follow; of all topics so far without one. */
  gap(topic?: string): void {
    if (topic !== undefined) this.display(topic).gaps += 1;
    else for (const display of this.topics.values()) display.gaps += 1;
  }

  /** Shows a topic as `kind` from now on, its events so far as well. */
  choose(topic: string, kind: Kind | null, events: Iterable<KindEvent>): void {
    if (kind) this.choices.set(topic, kind);
    else this.choices.delete(topic);
    // Bounded, as topics are; a choice for a topic that is long gone is no loss.
    if (this.choices.size > 4 * MOST_TOPICS) this.choices.delete(this.choices.keys().next().value!);
    const before = this.topics.get(topic);
    const display = new TopicDisplay(topic, kind);
    display.gaps = before?.gaps ?? 0;
    for (const event of events) if (event.topic === topic && event.event !== 'hub.removed') display.push(event);
    if (before?.ended) display.end();
    if (before) this.topics.set(topic, display);
  }

  /** Forgets all events; choices stay. */
  clear(): void {
    this.topics.clear();
    this.order.length = 0;
    this.dropped = 0;
    this.waiting = { notices: [], more: 0 };
  }

  /** The notifications since the last call. */
  tell(): Told {
    const told = this.waiting;
    this.waiting = { notices: [], more: 0 };
    return told;
  }

  private wait(topic: string, notice: Notice) {
    this.waiting.notices.push({ topic, notice });
    if (this.waiting.notices.length > MOST_WAITING) {
      this.waiting.notices.shift();
      this.waiting.more += 1;
    }
  }

  private display(topic: string): TopicDisplay {
    const found = this.topics.get(topic);
    if (found) {
      this.topics.delete(topic);
      this.topics.set(topic, found);
      return found;
    }
    const made = new TopicDisplay(topic, this.choice(topic));
    this.topics.set(topic, made);
    this.order.push(topic);
    if (this.topics.size > MOST_TOPICS) {
      const silent = this.topics.keys().next().value!;
      this.topics.delete(silent);
      this.order.splice(this.order.indexOf(silent), 1);
      this.dropped += 1;
    }
    return made;
  }

  private forget(removal: KindEvent) {
    const json = object(removal.data);
    const id = text(json?.id) ?? removal.id;
    const topic = text(json?.topic) ?? removal.topic;
    this.topics.get(topic)?.forget(id);
    this.waiting.notices = this.waiting.notices.filter(({ notice }) => notice.id !== id);
  }
}
