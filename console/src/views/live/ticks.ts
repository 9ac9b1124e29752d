// Events that the page publishes while it has cut its own stream, so that something goes on meanwhile.
import { signal } from '@preact/signals';
import { HubError, request } from '../../hub/request';

/** Between two of them, in milliseconds. */
const EVERY = 100;
/** At most so many in a row: a minute. */
const MOST = 600;

export class Ticks {
  /** Published, by the hub's receipts. */
  readonly published = signal(0);
  readonly error = signal<string | null>(null);
  private timer: ReturnType<typeof setInterval> | undefined;

  start(topic: string): void {
    this.stop();
    this.published.value = 0;
    this.error.value = null;
    let sent = 0;
    this.timer = setInterval(() => {
      sent += 1;
      if (sent >= MOST) this.stop();
      void this.publish(topic, sent);
    }, EVERY);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private async publish(topic: string, tick: number): Promise<void> {
    try {
      await request('publish', {
        method: 'POST',
        query: new URLSearchParams({ topic, event: 'tick' }),
        body: JSON.stringify({ tick, text: 'Published while the connection of this page was cut' }),
        headers: { 'Content-Type': 'text/plain' },
      });
      this.published.value += 1;
    } catch (error) {
      this.error.value = error instanceof HubError ? error.detail : 'no answer';
      this.stop();
    }
  }
}
