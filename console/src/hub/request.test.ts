// Against a server of Node's own, which does what no hub does: it is silent, breaks off, or sends something else.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';

const server = createServer((from, to) => {
  const path = from.url!.slice(1);
  if (path === 'silent') return;
  if (path === 'portal') return void to.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Sign in</h1>');
  if (path === 'refused') return void to.writeHead(403).end(JSON.stringify({ code: 'forbidden', detail: 'not this topic' }));
  to.writeHead(200, { 'content-type': 'application/json', 'content-length': '20' });
  to.write('{"half":');
  if (path === 'broken') setTimeout(() => to.destroy(), 20);
});
let requests: typeof import('./request');

beforeAll(async () => {
  await new Promise<void>((bound) => server.listen(0, '127.0.0.1', bound));
  const { port } = server.address() as AddressInfo;
  vi.stubGlobal('location', { href: `http://127.0.0.1:${port}/`, hash: '' });
  requests = await import('./request');
});
afterAll(() => {
  vi.unstubAllGlobals();
  server.closeAllConnections();
  server.close();
});

const failure = (path: string, init = {}) => requests.json(path, { patience: 300, ...init }).then(() => null, (error: unknown) => error as Error);

it('waits for no response, and for no body, without end', async () => {
  for (const path of ['silent', 'stalled']) {
    expect(await failure(path), path).toMatchObject({ name: 'HubError', status: 0, detail: 'The hub does not answer.' });
  }
});

it('says what came instead of an answer', async () => {
  expect(await failure('portal')).toMatchObject({ name: 'HubError', status: 0, detail: expect.stringContaining('not the hub') });
  expect(await failure('broken')).toMatchObject({ name: 'HubError', status: 0, detail: expect.stringContaining('cannot be reached') });
  expect(await failure('refused')).toMatchObject({ name: 'HubError', status: 403, code: 'forbidden', detail: 'Not this topic.' });
});

it('leaves what its caller has ended to the caller', async () => {
  const stop = new AbortController();
  const ended = failure('silent', { patience: 60_000, signal: stop.signal });
  stop.abort();
  expect(await ended).toMatchObject({ name: 'AbortError' });
});
