// The topics that are loaded: page after page while the reader goes on.
import { signal } from '@preact/signals';
import { HubError } from '../../hub/request';
import { listTopics } from '../../hub/topics';
import type { Topic } from '../../hub/types';
import { refreshed } from './rows';

/** Topics of one request. */
const PAGE = 500;
/** Topics kept in the page, about 20 MiB; who looks among more than that searches. */
export const MOST_ROWS = 50_000;
/** Rows of one refresh: the window and what is just outside. */
const REFRESHED = 200;

export interface Listed {
  rows: Topic[];
  /** The `after` of the next page; null when all are loaded. */
  next: string | null;
  loading: boolean;
  error: HubError | null;
}

export class Listing {
  readonly state = signal<Listed>({ rows: [], next: null, loading: true, error: null });
  private asking: AbortController | null = null;
  private started = false;

  constructor(readonly search: string) {}

  /** Loads the next page, unless one is on its way. */
  async more(): Promise<void> {
    const { rows, next } = this.state.peek();
    if (this.asking || (this.started && next === null) || rows.length >= MOST_ROWS) return;
    await this.ask(async (signal) => {
      const page = await listTopics({ search: this.search, after: next, limit: PAGE }, signal);
      this.started = true;
      return { rows: [...this.state.peek().rows, ...page.topics], next: page.next };
    });
  }

  /** Reads the rows from `from` to `to` again; the first page, if none has been read. */
  async refresh(from: number, to: number): Promise<void> {
    const { rows, next } = this.state.peek();
    if (!this.started) return this.more();
    if (this.asking) return;
    const after = rows[Math.min(from, rows.length) - 1]?.topic ?? null;
    await this.ask(async (signal) => {
      const limit = Math.min(REFRESHED, Math.max(0, to - from) + 20);
      const page = await listTopics({ search: this.search, after, limit }, signal);
      const now = refreshed(rows, after, page);
      // When the rows were read to their end, what follows them is known by the page.
      const grown = next === null && page.next !== null && now.at(-1)?.topic === page.topics.at(-1)?.topic;
      return { rows: now, next: grown ? page.next : page.next === null ? null : next };
    }, false);
  }

  private async ask(load: (signal: AbortSignal) => Promise<Pick<Listed, 'rows' | 'next'>>, told = true) {
    const mine = (this.asking = new AbortController());
    if (told) this.state.value = { ...this.state.peek(), loading: true };
    try {
      const loaded = await load(mine.signal);
      if (mine === this.asking) this.state.value = { ...loaded, loading: false, error: null };
    } catch (error) {
      if (mine !== this.asking) return;
      if (!(error instanceof HubError)) throw error;
      this.state.value = { ...this.state.peek(), loading: false, error };
    } finally {
      if (mine === this.asking) this.asking = null;
    }
  }

  /** Ends what is on its way. */
  stop(): void {
    this.asking?.abort();
    this.asking = null;
    this.state.value = { ...this.state.peek(), loading: false };
  }
}
