// Older pages of the log, before what is held.
import { signal } from '@preact/signals';
import { readPage } from '../../hub/events';
import { shifted } from '../../hub/id';
import { HubError } from '../../hub/request';
import { type Arrival, arrived } from './entry';
import { MAX_READ_BACK } from './live-store';
import type { Watch } from './watch';

/** Events asked for at once. */
export const OLDER = 500;

export type ReadBackState =
  | { name: 'ready' }
  | { name: 'loading' }
  | { name: 'failed'; error: HubError }
  /** The oldest event that the hub keeps is held. */
  | { name: 'oldest' }
  /** As much as this page holds besides. */
  | { name: 'enough' };

export class ReadBack {
  readonly state = signal<ReadBackState>({ name: 'ready' });
  private read = 0;

  constructor(private readonly watch: Watch) {
    const again = () => {
      this.state.value = { name: 'ready' };
      this.read = 0;
    };
    watch.store.onReset(again);
    watch.store.onResume(again);
  }

  async more(): Promise<void> {
    const { store, selection } = this.watch;
    const wanted = selection.value;
    if (!wanted || this.state.value.name === 'loading') return;
    // What is read would leave at once.
    if (store.full) store.pause();
    this.state.value = { name: 'loading' };
    try {
      const page = await readPage(wanted.topic, { before: this.before() }, OLDER);
      if (selection.value !== wanted) return;
      const gaps: Arrival[] = page.gaps.map((gap) => ({ kind: 'mark', mark: { type: 'gap', gap } }));
      store.prepend([...gaps, ...page.events.map((envelope) => arrived(envelope, true))]);
      this.read += page.events.length;
      if (!page.previous) {
        store.nothingOlder();
        this.state.value = { name: 'oldest' };
      } else this.state.value = { name: this.read >= MAX_READ_BACK ? 'enough' : 'ready' };
    } catch (error) {
      if (selection.value !== wanted) return;
      if (!(error instanceof HubError)) throw error;
      this.state.value = { name: 'failed', error };
    }
  }

  /** The oldest id held; without an event the place where the stream is. */
  private before(): string {
    for (const item of this.watch.store.events) if (item.kind === 'event') return item.id;
    return shifted(this.watch.cursor, 1);
  }
}
