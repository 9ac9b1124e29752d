// Texts that grow piece by piece: what a model says in a topic, and what was said to it.
import { Bounded } from './bounded';
import type { KindEvent, RunEnding, TokenReading } from './reading';

/** Texts of one topic that are shown: a question and its answer are two. */
const MOST_TEXTS = 6;
/** UTF-16 units and pieces of one text: more than a person reads here; a run's page has all of it. */
const MOST_LENGTH = 40_000;
const MOST_PIECES = 8_000;

interface Piece {
  id: string;
  text: string;
  thinking: string;
}

export class TokenText {
  text = '';
  thinking = '';
  readonly tools = new Map<number, { name: string; arguments: string }>();
  /** Null while it is written. */
  ending: RunEnding | null = null;
  /** UTF-16 units of its beginning that are no longer held. */
  cut = 0;
  /** Pieces that came. */
  count = 0;
  /** Times of its first and newest piece, in milliseconds since the epoch. */
  from: number;
  to: number;
  private pieces: Piece[] = [];

  constructor(
    /** Id of the event that it began with. */
    readonly id: string,
    readonly who: string,
    readonly run: string | null,
    readonly model: string | null,
    time: number,
  ) {
    this.from = this.to = time;
  }

  add(piece: Piece, time: number): void {
    this.pieces.push(piece);
    this.text += piece.text;
    this.thinking += piece.thinking;
    this.count += 1;
    this.to = time;
    if (this.pieces.length > MOST_PIECES || this.text.length + this.thinking.length > MOST_LENGTH) this.shorten();
  }

  /** Removes the piece of an event; returns whether it had one. */
  forget(id: string): boolean {
    const kept = this.pieces.filter((piece) => piece.id !== id);
    if (kept.length === this.pieces.length) return false;
    this.pieces = kept;
    this.join();
    return true;
  }

  get empty(): boolean {
    return !this.pieces.length && !this.tools.size && this.run === null;
  }

  /** Drops a quarter at once, so that it is not done with each piece. */
  private shorten() {
    let length = this.text.length + this.thinking.length;
    let at = Math.max(0, this.pieces.length - (MOST_PIECES * 3) / 4);
    for (let dropped = 0; dropped < this.pieces.length; dropped++) {
      if (dropped >= at && length <= (MOST_LENGTH * 3) / 4) {
        at = dropped;
        break;
      }
      const { text, thinking } = this.pieces[dropped]!;
      length -= text.length + thinking.length;
      at = dropped + 1;
    }
    const last = this.pieces.at(-1)!;
    const before = this.text.length + this.thinking.length;
    this.pieces = this.pieces.slice(at);
    // One piece that is larger than the bound.
    if (!this.pieces.length) this.pieces = [{ ...last, text: last.text.slice(-MOST_LENGTH / 2), thinking: last.thinking.slice(-MOST_LENGTH / 4) }];
    this.join();
    this.cut += before - this.text.length - this.thinking.length;
  }

  private join() {
    this.text = this.pieces.map(({ text }) => text).join('');
    this.thinking = this.pieces.map(({ thinking }) => thinking).join('');
  }
}

export class TokenTexts {
  readonly texts = new Bounded<TokenText>(MOST_TEXTS);
  private current: TokenText | null = null;
  /** A run's text that a provider's error has ended, until the run's own end. */
  private failed: TokenText | null = null;

  push(event: KindEvent, reading: TokenReading): void {
    const time = Date.parse(event.time);
    if (reading.what === 'start') {
      this.end({ status: 'interrupted', by: null, error: null, input: null, output: null });
      this.begin(new TokenText(event.id, 'Answer', reading.run, reading.model, time));
    } else if (reading.what === 'said') {
      // It stands between the answers, and does not end one that is written.
      const said = new TokenText(event.id, reading.who, null, null, time);
      said.add({ id: event.id, text: reading.text, thinking: '' }, time);
      said.ending = { status: 'said', by: null, error: null, input: null, output: null };
      this.texts.push(said);
    } else if (reading.what === 'end') {
      if (this.current) this.current.to = time;
      // The end of a run says more than the provider's error before it.
      else if (this.failed && reading.ending.status !== 'failed') this.failed.ending = reading.ending;
      else if (this.failed) this.failed.ending = { ...reading.ending, error: reading.ending.error ?? this.failed.ending!.error };
      this.failed = this.current?.run && reading.ending.status === 'failed' ? this.current : null;
      this.end(reading.ending);
    } else if (reading.what === 'piece') {
      if (!this.current) this.begin(new TokenText(event.id, 'Answer', null, null, time));
      const text = this.current!;
      text.add({ id: event.id, text: reading.text, thinking: reading.thinking }, time);
      for (const { index, name, arguments: given } of reading.tools) {
        const call = text.tools.get(index) ?? { name: '', arguments: '' };
        if (name !== null) call.name = name.slice(0, 200);
        call.arguments = (call.arguments + given).slice(0, MOST_LENGTH / 10);
        // A provider that invents indices without end has the first hundred shown.
        if (text.tools.has(index) || text.tools.size < 100) text.tools.set(index, call);
      }
    }
  }

  /** Ends the text that is written. */
  end(ending: RunEnding): void {
    if (this.current) this.current.ending = ending;
    this.current = null;
  }

  forget(id: string): boolean {
    let found = false;
    for (const text of this.texts) found = text.forget(id) || found;
    if (found) {
      this.texts.remove((text) => text.empty && text !== this.current);
      if (this.current?.empty && this.texts.remove((text) => text === this.current)) this.current = null;
    }
    return found;
  }

  private begin(text: TokenText) {
    this.current = text;
    this.texts.push(text);
  }
}
