// Screenshots of each view for docs/, of a real hub: `npm run screenshots` in console/, or `make screenshots`.
import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { Chromium, NARROW, type Tab, WIDE } from './support/browser';
import { Hub } from './support/hub';
import { Provider } from './support/provider';
import { furnish, traffic } from './support/scene';

const DIRECTORY = resolve(import.meta.dirname, '../../docs/console');
/** How long the traffic runs before the pictures are taken, in milliseconds: a chart needs a past. */
const PAST = Number(process.env.GAPLESS_SCREENSHOT_PAST_MS ?? 60_000);

interface Picture {
  name: string;
  fragment: string;
  /** Brings the view into the state to be shown. */
  prepare?(tab: Tab): Promise<void>;
}

test('every view, wide and narrow, light and dark', { timeout: 600_000 }, async () => {
  mkdirSync(DIRECTORY, { recursive: true });
  await using provider = await Provider.start();
  await using hub = await Hub.start([...provider.flags]);
  await furnish(hub);
  await using chromium = await Chromium.launch();
  provider.answer = {
    thoughts: ['The reader asks for a promise, ', 'so I explain the cursor first.'],
    words: 'A client keeps the id of the last event that it has. When it comes back, it sends that id, and the hub reads its log from there. So a lost connection loses nothing.'.split(/(?<= )/),
    pace: 20,
  };
  const body = { provider: 'local', request: { model: 'gpt-5-mini', messages: [{ role: 'user', content: 'Why is nothing lost?' }], stream_options: { include_usage: true } } };
  const begun = await hub.fetch('runs', { method: 'POST', body: JSON.stringify(body) });
  const { run } = (await begun.json()) as { run: string };
  await using running = traffic(hub);
  await using watchers = await watching(hub);
  await new Promise((wait) => setTimeout(wait, PAST));
  const pictures: Picture[] = [
    { name: 'overview', fragment: '#/overview' },
    { name: 'topics', fragment: '#/topics' },
    { name: 'topic', fragment: '#/topics/shop/log' },
    { name: 'live', fragment: '#/live?topic=sensors/*&from=last:40&view=text' },
    { name: 'cut', fragment: '#/live?topic=sensors/*&from=last:40&view=text', prepare: cut },
    { name: 'kinds', fragment: '#/live?topic=shop/*&from=earliest&view=kinds' },
    { name: 'streams', fragment: '#/streams' },
    { name: 'runs', fragment: '#/runs' },
    { name: 'run', fragment: '#/runs/' + run },
  ];
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const [width, viewport] of [['wide', WIDE], ['narrow', NARROW]] as const) {
      for (const { name, fragment, prepare } of pictures) {
        await using tab = await chromium.open(hub.address + fragment, { colorScheme, viewport, reducedMotion: 'reduce' });
        await tab.page.locator('main[data-view]').waitFor();
        // Figures come once a second.
        await new Promise((wait) => setTimeout(wait, 2500));
        await prepare?.(tab);
        await tab.page.screenshot({ path: `${DIRECTORY}/${name}-${width}-${colorScheme}.png` });
        expect(await tab.spills(), `${name} ${width} ${colorScheme}`).toEqual([]);
      }
    }
  }
  void running;
  void watchers;
});

async function cut({ page }: Tab): Promise<void> {
  await page.getByRole('button', { name: 'Cut the connection' }).click();
  await page.getByText(/missed 0, twice 0/i).first().waitFor();
}

/** Streams of others: what "Streams" shows. */
async function watching(hub: Hub): Promise<AsyncDisposable> {
  const stop = new AbortController();
  const queries = ['topic=sensors/*', 'topic=sensors/kitchen', 'topic=shop/**&from=earliest', 'topic=shop/chat', 'topic=shop/*&format=json', 'topic=shop/notices'];
  for (const query of queries) {
    const response = await fetch(hub.address + 'events?' + query, { headers: { Accept: 'text/event-stream' }, signal: stop.signal });
    void response.body!.pipeTo(new WritableStream()).catch(() => undefined);
  }
  return { [Symbol.asyncDispose]: async () => stop.abort() };
}
