import { createParser } from 'eventsource-parser';
import { type Attempt } from './hub.js';
import { type Decoded, decode } from './items.js';
import { foreign } from './problem.js';

/** Silence that ends a connection if the hub's keepalive is not known: three times its default of 15 s. */
const SILENCE = 45_000;

/** Missing keepalives that end a connection: one late and one lost keepalive are tolerated. */
const MISSED = 3;

/** Longest silence: three times the maximum of `stream.keepalive`, 10 minutes. */
const MAX_SILENCE = 1_800_000;

/** Longest event, in characters: twice the maximum of `publish.event_bytes`, because an envelope escapes some. */
const MAX_EVENT = 128 * 1024 * 1024;

/** Reads one response. It reads on only when all it has read so far was taken: what waits is one read of the network. */
export async function* blocks(
  response: Response,
  attempt: Attempt,
  onRetry: (ms: number) => void,
  onKeepalive: () => void,
): AsyncGenerator<Decoded, void, undefined> {
  const keepalive = Number(response.headers.get('stream-keepalive'));
  const silence = keepalive > 0 ? Math.min(keepalive * 1000 * MISSED, MAX_SILENCE) : SILENCE;
  const ready: Decoded[] = [];
  const parser = createParser({
    maxBufferSize: MAX_EVENT,
    onRetry,
    onComment: onKeepalive,
    onEvent: (message) => ready.push(decode(message)),
    onError: ({ type }) => {
      if (type === 'max-buffer-size-exceeded') throw foreign('an event is larger than any that a hub sends');
    },
  });
  const reader = response.body!.getReader();
  const text = new TextDecoder();
  for (;;) {
    // Only while it reads: a slow consumer is no silence.
    attempt.limit(silence);
    const { done, value } = await attempt.network(() => reader.read());
    attempt.limit(null);
    if (done) return;
    parser.feed(text.decode(value, { stream: true }));
    yield* ready.splice(0);
  }
}
