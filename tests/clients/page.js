// The clients of one page, each as its README shows it. What they hand to their user is in `clients`.
const names = ['message', 'step', 'hub.cursor', 'hub.gap', 'hub.end'];
const clients = window.clients = Object.fromEntries(
  ['native', 'fetched', 'polyfill', 'htmx'].map(name => [name, { heard: [], stopped: false }]));
const hear = client => ({ type, lastEventId, data }) => client.heard.push({ event: type, id: lastEventId, data });

function like(EventSource, client) {
  const source = new EventSource(url);
  names.forEach(name => source.addEventListener(name, hear(client)));
  source.onerror = () => { client.stopped = source.readyState === EventSource.CLOSED; };
}
like(EventSource, clients.native);
like(EventSourcePolyfill, clients.polyfill);

class End extends Error {}
sse.fetchEventSource(url, {
  async onopen(response) { if (response.status === 204) throw new End(); },
  onmessage({ id, event, data }) { clients.fetched.heard.push({ event: event || 'message', id, data }); },
  onclose() { throw new Error('come back'); },
  onerror(error) { if (error instanceof End) throw error; },
}).catch(() => { clients.fetched.stopped = true; });

const element = document.createElement('div');
element.setAttribute('hx-ext', 'sse');
element.setAttribute('sse-connect', url);
element.setAttribute('sse-swap', names.join(','));
element.setAttribute('sse-close', 'hub.end');
element.addEventListener('htmx:sseMessage', ({ detail }) => hear(clients.htmx)(detail));
element.addEventListener('htmx:sseClose', () => { clients.htmx.stopped = true; });
document.body.append(element);
htmx.process(element);
