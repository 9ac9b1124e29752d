// Server-Sent Events by fetch. As EventSource does, it reconnects and resumes with Last-Event-ID; unlike it, it sends an
// Authorization header, and tells why it was refused.

const FIRST_DELAY = 500;
const LONGEST_DELAY = 10_000;
// The hub sends something every 15 s. A connection that is silent for much longer is dead.
const SILENCE = 45_000;

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** The reason of a response that is not 2xx, in the hub's words. */
export async function refusal(response) {
  const problem = await response.json().catch(() => ({}));
  // The part that tells a program which header to send is left out: the page sends it.
  return new Refused(response.status, problem.detail?.replace(/; send '.*/, '') || `the hub answered ${response.status}`);
}

/**
 * Yields {event, data, id} until the server says that nothing will come (204), `done` says so of an event, or `signal` is
 * aborted. `live(true)` is called when connected, `live(false)` when the connection is lost.
 */
export async function* events(url, { headers = {}, signal, live = () => {}, done = () => false }) {
  let last = '', delay = FIRST_DELAY;
  while (!signal?.aborted) {
    const abort = new AbortController();
    let timer = setTimeout(() => abort.abort(), SILENCE);
    try {
      const response = await fetch(url, {
        headers: { ...headers, Accept: 'text/event-stream', ...last && { 'Last-Event-ID': last } },
        cache: 'no-store',
        signal: signal ? AbortSignal.any([signal, abort.signal]) : abort.signal,
      });
      if (response.status === 204) return;
      if (!response.ok) {
        const refused = await refusal(response);
        if (![408, 429, 502, 503, 504].includes(response.status)) throw refused;
      } else {
        live(true);
        delay = FIRST_DELAY;
        // Events that one frame of the provider was made into share an id, which the last of them has. Until it is
        // here, a reconnect would bring the others again: they wait for it.
        let waiting = [];
        const parse = parser(event => waiting.push(event));
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        for (let read = await reader.read(); !read.done; read = await reader.read()) {
          clearTimeout(timer);
          timer = setTimeout(() => abort.abort(), SILENCE);
          parse(read.value);
          const complete = waiting.findLastIndex(event => event.id !== undefined) + 1;
          for (const event of waiting.splice(0, complete)) {
            last = event.id ?? last;
            yield event;
            if (done(event)) return;
          }
        }
      }
    } catch (error) {
      if (error instanceof Refused) throw error;
    } finally {
      clearTimeout(timer);
      abort.abort();
    }
    if (signal?.aborted) return;
    live(false);
    // Not all at once, when many pages come back to a hub that was restarted.
    await new Promise(resolve => setTimeout(resolve, delay * (0.5 + Math.random())));
    delay = Math.min(2 * delay, LONGEST_DELAY);
  }
}

/** Calls `give` with each event of the text that it is given in pieces. */
function parser(give) {
  let rest = '', fields = { data: [] };
  return piece => {
    const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === '') {
        // A block of an id alone moves the cursor.
        if (fields.data.length || fields.id !== undefined) {
          give({ event: fields.event || 'message', data: fields.data.join('\n'), id: fields.id });
        }
        fields = { data: [] };
        continue;
      }
      const [, name, value] = /^([^:]*)(?:: ?([\s\S]*))?$/.exec(line);
      if (name === 'data') fields.data.push(value ?? '');
      else if (name === 'event') fields.event = value;
      else if (name === 'id' && !value?.includes('\0')) fields.id = value ?? '';
    }
  };
}
