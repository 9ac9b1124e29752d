/** A block of an event stream that has data. */
export interface SseEvent {
  /** `message` when the block names none. */
  event: string;
  data: string;
  /** The newest id of the stream, after this block. */
  id: string;
}

/** Longest event that the page accepts, in UTF-16 units: the hub's own maximum is 64 MiB, and an envelope escapes characters. */
const MAX_EVENT = 128 * 1024 * 1024;

/** Parses an event stream as WHATWG HTML, section 9.2.6, says. */
export class SseParser {
  /** The newest id of the stream. */
  id: string;
  /** The newest `retry`, in milliseconds. */
  retry: number | null = null;
  private decoder = new TextDecoder('utf-8');
  private rest: string[] = [];
  private restLength = 0;
  private event = '';
  private data: string[] = [];
  private dataLength = 0;
  private nextId: string;
  /** The last chunk ended with a carriage return: a line feed at the start of the next one belongs to it. */
  private afterReturn = false;

  constructor(id = '') {
    this.id = this.nextId = id;
  }

  /**
   * The events that are complete with these bytes.
   * @throws RangeError when an event is longer than the page accepts
   */
  push(bytes: Uint8Array): SseEvent[] {
    const events: SseEvent[] = [];
    let text = this.decoder.decode(bytes, { stream: true });
    if (!text) return events;
    if (this.afterReturn && text.startsWith('\n')) text = text.slice(1);
    this.afterReturn = text.endsWith('\r');
    // Searched once a chunk, not once a line.
    const hasReturns = text.includes('\r');
    let from = 0;
    while (from < text.length) {
      const end = lineEnd(text, from, hasReturns);
      if (end < 0) {
        this.keep(text.slice(from));
        break;
      }
      let line = text.slice(from, end);
      if (this.rest.length) {
        this.rest.push(line);
        line = this.rest.join('');
        this.rest = [];
        this.restLength = 0;
      }
      from = text[end] === '\r' && text[end + 1] === '\n' ? end + 2 : end + 1;
      const event = this.line(line);
      if (event) events.push(event);
    }
    return events;
  }

  private keep(part: string) {
    if (!part) return;
    this.restLength += part.length;
    if (this.restLength + this.dataLength > MAX_EVENT) throw new RangeError('the event is too long for this page');
    this.rest.push(part);
  }

  private line(line: string): SseEvent | null {
    if (line === '') return this.dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return null;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'data') {
      this.dataLength += value.length;
      if (this.dataLength > MAX_EVENT) throw new RangeError('the event is too long for this page');
      this.data.push(value);
    } else if (field === 'event') this.event = value;
    else if (field === 'id' && !value.includes('\0')) this.nextId = value;
    else if (field === 'retry' && /^\d+$/.test(value)) this.retry = Number(value);
    return null;
  }

  private dispatch(): SseEvent | null {
    this.id = this.nextId;
    const complete = this.data.length ? { event: this.event || 'message', data: this.data.join('\n'), id: this.id } : null;
    this.event = '';
    this.data = [];
    this.dataLength = 0;
    return complete;
  }
}

/** The place of the first line break from `from` on; -1 without one. */
function lineEnd(text: string, from: number, hasReturns: boolean): number {
  const feed = text.indexOf('\n', from);
  const carriage = hasReturns ? text.indexOf('\r', from) : -1;
  if (carriage < 0) return feed;
  return feed < 0 ? carriage : Math.min(feed, carriage);
}
