// npm's readers, each as its README shows it: `readers.mjs NAME URL`. A line for each event.
import { createRequire } from 'node:module';

// Those that the other tests of clients install.
const require = createRequire(new URL('../clients/package.json', import.meta.url));
const [, , name, url] = process.argv;
const hear = ({ type, lastEventId, data }) => console.log(JSON.stringify({ event: type, id: lastEventId, data }));

if (name === '@microsoft/fetch-event-source') {
  // It is for pages: what it asks of one.
  globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
  globalThis.window = { setTimeout, clearTimeout, fetch };
  const { fetchEventSource } = require(name);
  fetchEventSource(url, {
    onmessage: ({ event, id, data }) => hear({ type: event || 'message', lastEventId: id, data }),
    // A server that closes is an end, unless this says otherwise.
    onclose() { throw new Error('closed'); },
    onerror: () => 50,
  });
} else {
  const module = require(name);
  const EventSource = module.EventSourcePolyfill ?? module.EventSource;
  const source = new EventSource(url);
  for (const kind of ['message', 'mercure', 'hub.gap', 'hub.subscriptions']) source.addEventListener(kind, hear);
}
// Without a connection nothing else keeps the process.
setInterval(() => {}, 1000);
