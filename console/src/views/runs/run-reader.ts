// What a run says, from the events of `GET /runs/ID/events`. Reading from the start, live, after a reload and after a lost
// connection are one path, and nothing is shown twice.
import type { SseEvent } from '../../hub/sse';
import type { RunUsage } from '../../hub/types';
import { type Fields, fields, number, object, text } from '../kinds/json';
import { readMedia } from '../kinds/read-media';
import { ending } from '../kinds/read-tokens';
import type { RunEnding } from '../kinds/reading';

/** Pictures and sounds of a run that are shown. */
const MOST_MEDIA = 12;
/** Tool calls of a run that are shown. */
const MOST_CALLS = 200;

export interface RunMedia {
  mime: string;
  base64: string | null;
  refused: string | null;
}

export class RunReader {
  text = '';
  reasoning = '';
  readonly calls = new Map<number, { name: string; arguments: string }>();
  readonly media: RunMedia[] = [];
  /** As the provider counts, up to now; null when it does not. */
  usage: { input: number; output: number } | null = null;
  /** Null while it runs. */
  ending: RunEnding | null = null;
  source: RunUsage['source'] | null = null;
  stopping = false;
  /** Parts that are no longer kept. */
  gaps = 0;
  model = '';
  provider = '';
  /** Pieces of text and reasoning so far. */
  deltas = 0;
  /** Rises with each change. */
  version = 0;
  private last = '';
  /** Events of a frame whose id has not come: a reconnect would bring them again. */
  private open: SseEvent[] = [];

  /** Returns the number of pieces of text and reasoning among the events. */
  push(events: SseEvent[]): number {
    const before = this.deltas;
    for (const event of events) {
      // A gap has no id, and is told at once.
      if (event.event === 'hub.gap') {
        this.gaps += 1;
        continue;
      }
      this.open.push(event);
      // The id stands on the last event of a frame.
      if (event.id === this.last) continue;
      this.last = event.id;
      for (const complete of this.open) this.take(complete);
      this.open = [];
    }
    if (events.length) this.version += 1;
    return this.deltas - before;
  }

  /** The connection was lost: what has no id yet comes again. */
  reconnecting(): void {
    this.open = [];
  }

  /** The stream says that nothing follows (204). What waits for an id is complete. */
  finish(): void {
    for (const event of this.open) this.take(event);
    this.open = [];
    this.version += 1;
  }

  private take({ event, data }: SseEvent) {
    const json = object(data);
    if (!json) return;
    switch (event) {
      case 'run.started':
        this.model = text(json.model) ?? '';
        this.provider = text(json.provider) ?? '';
        break;
      case 'delta':
        // The playground asks for one choice; of others the first is shown.
        if ((number(json.choice) ?? 0) === 0) this.text += text(json.text) ?? '';
        this.deltas += 1;
        break;
      case 'reasoning':
        if ((number(json.choice) ?? 0) === 0) this.reasoning += text(json.text) ?? '';
        this.deltas += 1;
        break;
      case 'tool':
        this.tool(json);
        break;
      case 'image':
      case 'audio': {
        const read = readMedia({ topic: '', id: '', time: '', event, data, replayed: false }, json);
        if (read && this.media.length < MOST_MEDIA) this.media.push({ mime: read.mime, base64: read.base64, refused: read.refused });
        break;
      }
      case 'usage':
        this.usage = { input: number(json.input) ?? 0, output: number(json.output) ?? 0 };
        break;
      case 'run.stopping':
        this.stopping = true;
        break;
      case 'run.ended':
        this.ending = ending(json);
        this.source = (text(fields(json.usage)?.source) as RunUsage['source'] | null) ?? null;
        break;
    }
  }

  private tool(json: Fields) {
    const index = number(json.index) ?? 0;
    const call = this.calls.get(index) ?? { name: '', arguments: '' };
    if (!this.calls.has(index) && this.calls.size >= MOST_CALLS) return;
    call.name = text(json.name) ?? call.name;
    call.arguments += text(json.arguments) ?? '';
    this.calls.set(index, call);
  }
}
