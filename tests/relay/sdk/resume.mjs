// Clients that resume, as pages use them.
import { EventSource } from 'eventsource';
import { serve } from './common.mjs';

// fetch-event-source is for pages: it asks these for its timers and for whether the page is visible.
globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
const { fetchEventSource } = await import('@microsoft/fetch-event-source/lib/cjs/index.js').then(it => it.default);

const bearer = job => ({ authorization: 'Bearer ' + job.token, ...job.headers });

await serve({
  // A POST of the job's "body"; it posts again by itself after a broken connection.
  async fetch_event_source(job, seen) {
    await fetchEventSource(job.base_url, {
      method: 'POST', body: JSON.stringify(job.body), headers: { 'content-type': 'application/json', ...bearer(job) },
      onmessage: ({ event, id, data }) => seen.chunks.push({ event, id, data }),
      onopen: async response => {
        seen.headers = Object.fromEntries(response.headers);
        if (!response.ok) throw Object.assign(new Error(await response.text()), { status: response.status });
      },
      onerror: error => { if (error.status) throw error; return 50; },
    });
  },
  // A GET; it reconnects by itself and ends with a 204. "events" are the names that the page listens to.
  async eventsource(job, seen) {
    const source = new EventSource(job.base_url, {
      fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...bearer(job) } }) });
    const hear = ({ type, lastEventId, data }) => seen.chunks.push({ event: type, id: lastEventId, data });
    for (const name of job.events ?? ['message']) source.addEventListener(name, hear);
    await new Promise(ended => {
      source.onerror = () => { if (source.readyState === EventSource.CLOSED) ended(); };
    });
  },
});
