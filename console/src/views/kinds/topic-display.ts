// What one topic shows: a display for each kind of event that it has had.
import { Bounded } from './bounded';
import { Sense, readAs } from './detect';
import { MediaShelf } from './media-shelf';
import { ProgressBars } from './progress-bars';
import type { Kind, KindEvent, LogReading, NotificationReading, Reading } from './reading';
import { TokenTexts } from './token-texts';

/** Rows of each display: some screens of it; the list of events has the others. */
const MOST_LINES = 300;
const MOST_NOTIFICATIONS = 40;
const MOST_ROWS = 60;
/** Longest line and row, in UTF-16 units. */
const MOST_TEXT = 4000;
/** Events without a sign of their kind that are kept until it is known. */
const MOST_EARLY = 64;

export interface Row {
  id: string;
  time: string;
}

export interface LogLine extends Row, Omit<LogReading, 'kind'> {}
export interface Notice extends Row, Omit<NotificationReading, 'kind'> {
  replayed: boolean;
}
export interface TextRow extends Row {
  event: string;
  data: string;
  /** UTF-16 units that are left out. */
  cut: number;
}

export class TopicDisplay {
  /** Events so far. */
  events = 0;
  /** The topic has ended. */
  ended = false;
  /** Events of it are missing: what is shown has a hole. */
  gaps = 0;
  readonly tokens = new TokenTexts();
  readonly progress = new ProgressBars();
  readonly log = new Bounded<LogLine>(MOST_LINES);
  readonly notices = new Bounded<Notice>(MOST_NOTIFICATIONS);
  readonly media = new MediaShelf();
  readonly rows = new Bounded<TextRow>(MOST_ROWS);
  private readonly sense: Sense;
  private early: KindEvent[] = [];

  constructor(
    readonly topic: string,
    /** Chosen by hand; null: by itself. */
    readonly chosen: Kind | null,
  ) {
    this.sense = new Sense(topic);
  }

  /** What the topic is taken for; null: not known, or there is nothing. */
  get kind(): Kind | null {
    return this.chosen ?? this.sense.leaning;
  }

  /** Shows the event. Returns the notification that it is, if it is one. */
  push(event: KindEvent): Notice | null {
    this.events += 1;
    if (this.chosen) return this.show(event, readAs(event, this.chosen));
    const before = this.sense.leaning;
    const reading = this.sense.read(event);
    if (reading.kind === 'text' && this.sense.leaning === null && this.early.length < MOST_EARLY) this.early.push(event);
    if (before === null && this.sense.leaning !== null && this.early.length) this.again();
    return this.show(event, reading);
  }

  end(): void {
    this.ended = true;
    this.tokens.end({ status: 'closed', by: null, error: null, input: null, output: null });
    this.progress.end();
  }

  /** Forgets what the event said. Its data is not kept elsewhere in the display. */
  forget(id: string): void {
    this.early = this.early.filter((event) => event.id !== id);
    this.tokens.forget(id);
    this.progress.forget(id);
    this.media.forget(id);
    for (const rows of [this.log, this.notices, this.rows] as Bounded<Row>[]) rows.remove((row) => row.id === id);
  }

  /** The kind is known now: what was shown as text until then is of it, too. */
  private again() {
    const { early } = this;
    this.early = [];
    const ids = new Set(early.map(({ id }) => id));
    this.rows.remove((row) => ids.has(row.id));
    for (const event of early) this.show(event, this.sense.read(event));
  }

  private show(event: KindEvent, reading: Reading): Notice | null {
    const { id, time } = event;
    switch (reading.kind) {
      case 'tokens':
        this.tokens.push(event, reading);
        return null;
      case 'progress':
        this.progress.push(event, reading);
        return null;
      case 'log':
        this.log.push({ id, time, level: reading.level, message: reading.message.slice(0, MOST_TEXT), fields: reading.fields });
        return null;
      case 'notification': {
        const { title, message, priority, tags, click } = reading;
        const notice = { id, time, title, message, priority, tags, click, replayed: event.replayed };
        this.notices.push(notice);
        return notice;
      }
      case 'media':
        this.media.push(event, reading);
        return null;
      case 'text':
        this.rows.push({ id, time, event: event.event, data: event.data.slice(0, MOST_TEXT), cut: Math.max(0, event.data.length - MOST_TEXT) });
        return null;
    }
  }
}
