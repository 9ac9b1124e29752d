// What the vectors cannot see: waits that are announced, how far it reads ahead, how it ends.
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import {
  type Item,
  HubProblem,
  NetworkError,
  PublishUncertain,
  type Status,
  publish,
  publishBatch,
  stream,
  subscribe,
} from 'gapless';
import { EventLog } from 'gapless/react';
import { until } from './hub.js';

const url = 'http://hub.example';

function block(n: number, size = 1): string {
  const data = JSON.stringify({ topic: 't', id: `e-${n}`, time: '', event: 'message', data: `${n}`.padEnd(size, '.') });
  return `data: ${data}\nid: e-${n}\n\n`;
}

/** An answer that is a stream of these texts, and then ends, breaks or stays open. */
function streamed(texts: string[], then: 'end' | 'break' | 'open' = 'end', keepalive = '15'): Response {
  const queue = texts.map((text) => new TextEncoder().encode(text));
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const next = queue.shift();
        if (next) controller.enqueue(next);
        else if (then === 'end') controller.close();
        else if (then === 'break') controller.error(new TypeError('terminated'));
        else return new Promise(() => {});
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: { 'content-type': 'text/event-stream', 'stream-keepalive': keepalive } });
}

/** A `fetch` that gives these answers, one after the other, and then none. */
function answering(...answers: (() => Response | Promise<Response>)[]) {
  const requests: { url: string; init: RequestInit }[] = [];
  const fetch = async (input: unknown, init: RequestInit = {}): Promise<Response> => {
    requests.push({ url: String(input), init });
    const answer = answers[requests.length - 1];
    return answer ? answer() : new Promise(() => {});
  };
  return { requests, fetch: fetch as typeof globalThis.fetch };
}

/** The first waits that a subscription announces. */
async function waits(count: number, ...answers: (() => Response | Promise<Response>)[]): Promise<number[]> {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const delays: number[] = [];
    const leave = new AbortController();
    const onStatus = (status: Status) => void (status.state === 'waiting' && delays.push(status.delay));
    const { fetch } = answering(...answers);
    const { done } = subscribe(url, { topics: 't', fetch, signal: leave.signal, onStatus, onItem: () => {} });
    for (let turns = 0; delays.length < count; turns += 1) {
      assert.ok(turns < 1000, 'it waits');
      await turn();
      if (delays.length < count) mock.timers.tick(1_000);
    }
    leave.abort();
    assert.equal(await done, 'aborted');
    return delays;
  } finally {
    mock.timers.reset();
  }
}

const down = () => Promise.reject(new TypeError('fetch failed'));
const status =
  (code: number, headers: Record<string, string> = {}) =>
  () =>
    new Response(null, { status: code, headers });

test('the delay is the retry of the hub after an end, and grows with failures up to a bound', async () => {
  assert.deepEqual(
    await waits(
      2,
      () => streamed(['retry: 5000\n']),
      () => streamed([block(1)]),
    ),
    [5000, 5000],
  );
  const [broken = 0] = await waits(1, () => streamed(['retry: 5000\n'], 'break'));
  assert.ok(broken >= 5000 && broken <= 6250, `${broken}`);
  const growing = await waits(7, down, down, down, down, down, down, down);
  for (const [index, base] of [3, 6, 12, 24, 48, 60, 60].entries()) {
    assert.ok(growing[index]! >= base * 1000 && growing[index]! <= base * 1250, `${growing}`);
  }
  const again = await waits(3, down, down, () => streamed(['retry: 100\n']));
  assert.equal(again[2], 100);
});

test('the delay grows until something has come, not only a head', async () => {
  const cursor = 'retry: 3000\nevent: hub.cursor\ndata: {}\nid: e-0\n\n';
  for (const answer of [() => streamed([], 'break'), () => streamed([]), () => streamed([cursor], 'break')]) {
    const growing = await waits(4, answer, answer, answer, answer);
    for (const [index, base] of [3, 6, 12, 24].entries()) {
      assert.ok(growing[index]! >= base * 1000 && growing[index]! <= base * 1250, `${growing}`);
    }
  }
  for (const text of [block(1), ':\n']) {
    const alive = () => streamed([text], 'break');
    const even = await waits(4, down, alive, alive, alive);
    assert.ok(
      even.slice(1).every((delay) => delay >= 3_000 && delay <= 3_750),
      `${even}`,
    );
  }
});

test('Retry-After is kept, as seconds and as a date, up to ten minutes', async () => {
  const [seconds] = await waits(1, status(503, { 'retry-after': '77' }));
  assert.equal(seconds, 77_000);
  const [date = 0] = await waits(1, status(429, { 'retry-after': new Date(Date.now() + 90_000).toUTCString() }));
  assert.ok(date > 80_000 && date <= 90_000, `${date}`);
  assert.deepEqual(await waits(1, status(503, { 'retry-after': '99999999' })), [600_000]);
});

test('a few topics are in the query, and many in a body', async () => {
  const gone = () => new Response(null, { status: 204 });
  const { fetch, requests } = answering(gone, gone);
  const many = Array.from({ length: 1_000 }, (_, n) => `a topic with a name/${n}`);
  for (const topics of [['a&b', 'c/**'], many]) {
    for await (const item of subscribe(url, { topics, cursor: 'e-7', from: 'now', fetch })) assert.fail(item.type);
  }
  assert.equal(requests[0]!.url, `${url}/events?format=json&last_event_id=e-7&topic=a%26b&topic=c%2F**`);
  assert.equal(requests[0]!.init.body, undefined);
  assert.equal(requests[1]!.url, `${url}/events`);
  assert.equal(requests[1]!.init.method, 'POST');
  const body = JSON.parse(requests[1]!.init.body as string);
  assert.deepEqual(body, { topics: many, format: 'json', last_event_id: 'e-7' });
});

test('nothing is read ahead of the consumer', async () => {
  const texts = Array.from({ length: 100 }, (_, n) => block(n) + block(n + 0.5));
  let reads = 0;
  const response = streamed(texts);
  const reader = response.body!.getReader();
  const counting = new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        reads += 1;
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
    },
    { highWaterMark: 0 },
  );
  const { fetch } = answering(() => new Response(counting, { headers: response.headers }));
  let taken = 0;
  for await (const item of subscribe(url, { topics: 't', fetch })) {
    await turn();
    taken += 1;
    assert.ok(reads <= Math.ceil(taken / 2), `${reads} reads for ${taken} ${item.type}s`);
    if (taken === 20) break;
  }
});

test('a slow consumer is no silence', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const { fetch, requests } = answering(() => streamed([block(1), block(2)], 'open', '1'));
    const leave = new AbortController();
    const items = subscribe(url, { topics: 't', fetch, signal: leave.signal })[Symbol.asyncIterator]();
    await items.next();
    mock.timers.tick(60_000);
    const { value } = await items.next();
    assert.equal((value as { id: string }).id, 'e-2');
    assert.equal(requests.length, 1);
    // With nobody in between it is one.
    const next = items.next();
    for (let turns = 0; requests.length < 2; turns += 1) {
      assert.ok(turns < 100, 'it connects again');
      await turn();
      mock.timers.tick(1_000);
    }
    assert.match(requests[1]!.url, /last_event_id=e-2/);
    leave.abort(new Error('enough'));
    await assert.rejects(next, /enough/);
  } finally {
    mock.timers.reset();
  }
});

test('leaving the loop closes the connection, and a later loop goes on at the item that was not done', async () => {
  const { fetch, requests } = answering(
    () => streamed([block(1), block(2), block(3)], 'open'),
    () => new Response(null, { status: 204 }),
  );
  const subscription = subscribe(url, { topics: 't', from: 'earliest', fetch });
  const seen: string[] = [];
  for await (const item of subscription) {
    if (item.type === 'event') seen.push(item.id);
    await assert.rejects(async () => subscription[Symbol.asyncIterator]().next(), /one consumer/);
    if (seen.length === 2) break;
  }
  assert.ok(requests[0]!.init.signal!.aborted);
  assert.equal(subscription.cursor, 'e-1');
  for await (const item of subscription) assert.fail(item.type);
  assert.match(requests[0]!.url, /from=earliest/);
  assert.match(requests[1]!.url, /last_event_id=e-1/);
  assert.doesNotMatch(requests[1]!.url, /from=/);
});

test('an abort ends it at once, whatever it waits for', async () => {
  const leave = new AbortController();
  const { fetch } = answering();
  const waiting = subscribe(url, { topics: 't', fetch, signal: leave.signal })[Symbol.asyncIterator]().next();
  const publishing = publish(url, 't', 'x', { fetch, signal: leave.signal });
  const writing = stream(url, 't', { fetch, signal: leave.signal });
  await writing.write('x');
  leave.abort(new Error('enough'));
  await assert.rejects(waiting, /enough/);
  await assert.rejects(publishing, /enough/);
  await assert.rejects(writing.close(), /enough/);
  await assert.rejects(writing.write('y'), /closed/);
});

test('a consumer that fails is the failure of the subscription', async () => {
  const { fetch, requests } = answering(() => streamed([block(1)], 'open'));
  const onItem = (item: Item) => Promise.reject(new Error(`no ${item.type}`));
  const { done, subscription } = subscribe(url, { topics: 't', fetch, onItem });
  await assert.rejects(done, /no event/);
  assert.equal(subscription.cursor, null);
  assert.ok(requests[0]!.init.signal!.aborted);
});

test('a wrong address is an error of the caller', async () => {
  const wrong = ['hub', 'ftp://hub', 'http://hub/?q=1', 'http://hub/?', 'http://hub/#a', 'http://hub#'];
  for (const address of [...wrong, 'https://user:secret@hub', 'https://user@hub/base']) {
    const { fetch } = answering(receipt);
    const refused = (error: unknown) => error instanceof TypeError && !error.message.includes('secret');
    assert.throws(() => subscribe(address, { topics: 't', fetch }), refused, address);
    await assert.rejects(publish(address, 't', 'x', { fetch }), refused, address);
    assert.throws(() => stream(address, 't', { fetch }), refused, address);
  }
  const { fetch, requests } = answering(receipt);
  await publish('https://hub.example/base//', 't', 'x', { fetch });
  assert.equal(requests[0]!.url, 'https://hub.example/base/publish');
});

test('a publish keeps its key, and is given up within its time', async () => {
  const { fetch, requests } = answering(down, status(503), down);
  const error = await publish(url, 't', 'x', { fetch, giveUpAfter: 1_000 }).catch((error) => error);
  assert.ok(error instanceof PublishUncertain, String(error));
  const keys = requests.map(({ init }) => new Headers(init.headers).get('idempotency-key'));
  assert.deepEqual([...new Set(keys)], [error.key]);
  assert.ok(keys.length > 1);

  // The hub has said that nothing was published.
  const draining = JSON.stringify({ code: 'draining', title: 'The hub is stopping' });
  const refused = await publish(url, 't', 'x', {
    fetch: answering(() => new Response(draining, { status: 503, headers: { 'retry-after': '60' } })).fetch,
    giveUpAfter: 1_000,
  }).catch((error) => error);
  assert.ok(refused instanceof HubProblem && refused.code === 'draining' && refused.retryAfter === 60_000);
});

test('a publish stream sends one batch at a time, with bounds, and makes its writer wait', async () => {
  const batches: number[] = [];
  const release: (() => void)[] = [];
  const fetch = (async (_: unknown, init: RequestInit) => {
    const events = JSON.parse(init.body as string) as unknown[];
    batches.push(events.length);
    await new Promise<void>((resolve) => release.push(resolve));
    return Response.json({ events: events.map((_, n) => ({ topic: 't', id: `e-${n}`, time: '', subscribers: 0 })) });
  }) as typeof globalThis.fetch;
  const tokens = stream(url, 't', { fetch });
  let written = 0;
  const writing = (async () => {
    for (let n = 0; n < 10_000; n += 1) {
      await tokens.write(`${n}`);
      written += 1;
    }
  })();
  await until('the writer waits', () => written >= 4_000);
  for (let turns = 0; turns < 50; turns += 1) await turn();
  assert.ok(written < 4_200, `${written}`);
  assert.equal(batches.length, 1);
  const closing = writing.then(() => tokens.close());
  let closed = false;
  void closing.then(() => (closed = true));
  await until('it closes', () => (release.shift()?.(), closed));
  assert.equal(
    batches.reduce((sum, size) => sum + size),
    10_000,
  );
  assert.ok(Math.max(...batches) <= 4_096, `${batches}`);

  const leave = new AbortController();
  const careless = stream(url, 't', { fetch, signal: leave.signal });
  const refusals: unknown[] = [];
  for (let n = 0; n < 70_000; n += 1) void careless.write('x').catch((error) => refusals.push(error));
  await until('a batch is sent', () => release.length > 0);
  assert.ok(batches.at(-1)! <= 4_096, `${batches}`);
  assert.equal(refusals.length, 70_000 - 16 * 4_096);
  assert.match(String(refusals[0]), /RangeError/);
  leave.abort();
});

/** Publishes with a paused clock. Before each step of it `meanwhile` may let another clock jump. */
async function publishedPaused(
  work: () => Promise<unknown>,
  meanwhile: () => void = () => {},
  apis: ('setTimeout' | 'Date')[] = ['setTimeout'],
): Promise<unknown> {
  mock.timers.enable({ apis });
  try {
    let outcome: { is: unknown } | null = null;
    const settle = (is: unknown) => void (outcome = { is });
    work().then(settle, settle);
    for (let turns = 0; outcome === null; turns += 1) {
      assert.ok(turns < 1000, 'it ends');
      await turn();
      meanwhile();
      mock.timers.tick(50);
    }
    return (outcome as { is: unknown }).is;
  } finally {
    mock.timers.reset();
    mock.restoreAll();
  }
}

const receipt = () => Response.json({ topic: 't', id: 'e-1', time: 'T', subscribers: 0 });
const problem = (code: number, name: string) => () => Response.json({ code: name, title: name }, { status: code });

test('a publish that wakes up after its deadline is not sent again', async () => {
  for (const clock of [Date, performance]) {
    const { fetch, requests } = answering(down, receipt);
    const jump = () => {
      const now = clock.now();
      if (requests.length === 1) mock.method(clock, 'now', () => now + 600_000);
    };
    const error = await publishedPaused(() => publish(url, 't', 'x', { fetch, key: 'k' }), jump);
    assert.ok(error instanceof PublishUncertain && error.key === 'k', String(error));
    assert.equal(requests.length, 1);
  }
  // What the hub had refused is certain.
  const { fetch, requests } = answering(problem(503, 'draining'), receipt);
  const jump = () => {
    const now = Date.now();
    if (requests.length === 1) mock.method(Date, 'now', () => now + 600_000);
  };
  const error = await publishedPaused(() => publish(url, 't', 'x', { fetch }), jump);
  assert.ok(error instanceof HubProblem && error.code === 'draining', String(error));
  assert.equal(requests.length, 1);
});

test('a publish whose token comes after its deadline is not sent again', async () => {
  for (const first of [down, status(401)]) {
    const { fetch, requests } = answering(...(first === down ? [down, status(401), receipt] : [first, receipt]));
    let calls = 0;
    const token = () => {
      const now = Date.now();
      if (++calls === 2) mock.method(Date, 'now', () => now + 600_000);
      return `${calls}`;
    };
    const error = await publishedPaused(() => publish(url, 't', 'x', { fetch, token, key: 'k' }));
    if (first === down) assert.ok(error instanceof PublishUncertain && error.key === 'k', String(error));
    else assert.ok(error instanceof HubProblem && error.status === 401, String(error));
    assert.equal(requests.length, first === down ? 2 : 1);
  }
});

test('an uncertain publish stays one, whatever ends it', async () => {
  const leave = new AbortController();
  const endings: [() => Response | Promise<Response>, (error: any) => boolean][] = [
    [problem(403, 'forbidden'), (cause) => cause.code === 'forbidden'],
    [status(401), (cause) => cause.status === 401],
    [() => new Response('<h1>Welcome</h1>'), (cause) => cause.status === 200],
    [() => (leave.abort(new Error('enough')), new Promise(() => {})), (cause) => cause.message === 'enough'],
  ];
  for (const [ending, is] of endings) {
    const { fetch } = answering(down, ending);
    const options = { fetch, key: 'k', signal: leave.signal };
    const error = await publishedPaused(() => publish(url, 't', 'x', options));
    assert.ok(error instanceof PublishUncertain && error.key === 'k' && is(error.cause), String(error));
  }
  // A function for a token that throws, and an abort while it waits.
  let calls = 0;
  const token = () => {
    if (++calls > 1) throw new Error('signed out');
    return 'a';
  };
  const { fetch } = answering(down, status(401), receipt);
  const error = await publishedPaused(() => publish(url, 't', 'x', { fetch, key: 'k', token }));
  assert.ok(error instanceof PublishUncertain && (error.cause as Error).message === 'signed out', String(error));
  const later = new AbortController();
  const waiting = await publishedPaused(
    () => publish(url, 't', 'x', { fetch: answering(down).fetch, key: 'k', signal: later.signal }),
    () => void setImmediate(() => later.abort(new Error('enough'))),
  );
  assert.ok(waiting instanceof PublishUncertain && (waiting.cause as Error).message === 'enough', String(waiting));
});

/** A `fetch` that takes batches up to a size in bytes, and refuses larger ones as the hub does. */
function taking(most: number) {
  const tried: string[] = [];
  const taken: string[] = [];
  const keys = new Set<string | null>();
  const fetch = (async (_: unknown, init: RequestInit) => {
    const body = init.body as string;
    tried.push(body);
    keys.add(new Headers(init.headers).get('idempotency-key'));
    if (new TextEncoder().encode(body).length > most) return problem(413, 'too-large')();
    const events = JSON.parse(body) as { data: string }[];
    taken.push(...events.map(({ data }) => data));
    return Response.json({ events: events.map(({ data }) => ({ topic: 't', id: data, time: '', subscribers: 0 })) });
  }) as typeof globalThis.fetch;
  return { fetch, tried, taken, keys };
}

test('a batch that is too large for the hub goes out in parts, in order', async () => {
  const { fetch, tried, taken, keys } = taking(1_000);
  const tokens = stream(url, 't', { fetch });
  const data = Array.from({ length: 100 }, (_, n) => `${n}`.padEnd(50, '.'));
  await Promise.all(data.map((one) => tokens.write(one)));
  assert.equal((await tokens.flush())!.id, data.at(-1));
  assert.deepEqual(taken, data);
  assert.equal(keys.size, tried.length);
  // What it has learnt, it keeps.
  const before = tried.length;
  await Promise.all(data.map((one) => tokens.write(one)));
  await tokens.flush();
  assert.ok(tried.slice(before).every((body) => body.length <= 1_000));
  // A single one that is too large is the failure of the stream; those before it are published.
  await Promise.all([tokens.write('a'), tokens.write('x'.repeat(1_000)), tokens.write('b')]);
  await assert.rejects(tokens.close(), { status: 413 });
  assert.deepEqual(taken.slice(200), ['a']);
});

test('a batch has bytes, not characters', async () => {
  const { fetch, tried } = taking(Infinity);
  const tokens = stream(url, 't', { fetch });
  for (let n = 0; n < 3; n += 1) void tokens.write('\u20ac'.repeat(200_000));
  await tokens.flush();
  assert.equal(tried.length, 3);
});

test('a publish stream is given up within its time, and does not tell to send again', async () => {
  const { fetch } = answering(down, down, down);
  const tokens = stream(url, 't', { fetch, giveUpAfter: 1_000 });
  await tokens.write('x');
  const error = await publishedPaused(() => tokens.flush());
  assert.ok(error instanceof PublishUncertain, String(error));
  assert.doesNotMatch(error.message, /again/);
  assert.match(error.message, /the last events of the topic/);
});

test('an attempt that begins has a little time', async () => {
  const late = () => new Promise<Response>((resolve) => setTimeout(() => resolve(receipt()), 50));
  const outcome = await publishedPaused(() => publish(url, 't', 'x', { fetch: answering(late).fetch, giveUpAfter: 0 }));
  assert.deepEqual(outcome, { topic: 't', id: 'e-1', time: 'T', subscribers: 0 });
});

/** A body of so many pieces, and how many of them were asked for. */
function large(pieces: number, bytes: number, init: ResponseInit) {
  const read = { pieces: 0 };
  const piece = new Uint8Array(bytes).fill(0x20);
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (read.pieces === pieces) return controller.close();
        read.pieces += 1;
        controller.enqueue(piece);
      },
    },
    { highWaterMark: 0 },
  );
  return { read, answer: () => new Response(body, init) };
}

test('a body is read up to a bound', async () => {
  const page = large(1_000, 10_000, { status: 403 });
  const refused = publish(url, 't', 'x', { fetch: answering(page.answer).fetch });
  await assert.rejects(refused, { name: 'HubProblem', status: 403, code: null });
  assert.ok(page.read.pieces <= 7, `${page.read.pieces}`);
  const success = large(20, 8 << 20, { headers: { 'content-type': 'application/json' } });
  const foreign = publish(url, 't', 'x', { fetch: answering(success.answer).fetch });
  await assert.rejects(foreign, { name: 'HubProblem', status: 200, detail: /larger/ });
  assert.equal(success.read.pieces, 17);
});

test('what is no envelope is a problem', async () => {
  const wrong = ['x', '7', 'null', '[]', '{}', '{"topic":"t","id":7,"time":"","event":"","data":""}'];
  const names = ['message', 'hub.gap', 'hub.end', 'hub.removed'];
  const blocks = names.flatMap((name) => wrong.map((data) => `event: ${name}\ndata: ${data}\n\n`));
  for (const inner of ['', 'null', '{}']) {
    const envelope = JSON.stringify({ topic: 't', id: 'e-1', time: '', data: inner });
    blocks.push(`event: hub.removed\ndata: ${envelope}\n\n`);
  }
  for (const text of blocks) {
    const { fetch } = answering(() => streamed([text], 'open'));
    const next = subscribe(url, { topics: 't', fetch })[Symbol.asyncIterator]().next();
    await assert.rejects(next, { name: 'HubProblem', status: 200, detail: /no envelope/ }, text);
  }
});

test('what is no receipt is a problem', async () => {
  const wrong = ['', 'x', 'null', '7', '[]', '{}', '{"topic":"t","id":7,"time":"T","subscribers":0}'];
  for (const body of [...wrong, '{"topic":"t","id":"e-1","time":"T"}', '{"events":7}', '{"events":[{}]}']) {
    const answer = () => new Response(body, { headers: { 'content-type': 'application/json' } });
    const foreign = { name: 'HubProblem', status: 200, code: null };
    await assert.rejects(publish(url, 't', 'x', { fetch: answering(answer).fetch }), foreign, body);
    const batch = publishBatch(url, [{ topic: 't', data: 'x' }], { fetch: answering(answer).fetch });
    await assert.rejects(batch, foreign, body);
    const tokens = stream(url, 't', { fetch: answering(answer).fetch });
    await tokens.write('x');
    await assert.rejects(tokens.close(), foreign, body);
  }
});

/** A promise that another one settles at once, or an error. */
function soon<T>(what: string, promise: Promise<T>): Promise<T> {
  return Promise.race([
    promise,
    turn()
      .then(turn)
      .then(() => Promise.reject(new Error(`not at once: ${what}`))),
  ]);
}

test('an abort and return() end a wait for the store', async () => {
  const never = () => new Promise<never>(() => {});
  const stores = [
    { get: never, set: () => {} },
    { get: () => null, set: never },
  ];
  for (const store of stores) {
    for (const delivery of ['at-least-once', 'at-most-once'] as const) {
      const leave = new AbortController();
      const { fetch, requests } = answering(() => streamed([block(1), block(2)], 'open'));
      const options = { topics: 't', fetch, store, delivery };
      const begin = async (signal?: AbortSignal) => {
        const items = subscribe(url, { ...options, signal })[Symbol.asyncIterator]();
        if (store !== stores[0] && delivery === 'at-least-once') await items.next();
        const next = items.next();
        await turn();
        return { items, next };
      };
      const aborted = await begin(leave.signal);
      leave.abort(new Error('enough'));
      await assert.rejects(soon('an abort', aborted.next), /enough/);
      requests.length = 0;
      const left = await begin();
      await soon('return()', left.items.return());
      assert.deepEqual(await soon('next()', left.next), { done: true, value: undefined });
      assert.ok(requests.every(({ init }) => init.signal!.aborted));
    }
  }
});

test('return() ends a wait for the hub, and for the next attempt', async () => {
  for (const answer of [() => new Promise<Response>(() => {}), () => streamed([], 'open'), down]) {
    const { fetch, requests } = answering(answer);
    const items = subscribe(url, { topics: 't', fetch })[Symbol.asyncIterator]();
    const next = items.next();
    await turn();
    await soon('return()', items.return());
    assert.deepEqual(await soon('next()', next), { done: true, value: undefined });
    assert.ok(requests[0]!.init.signal!.aborted);
  }
});

test('a store is set when the consumer is done with an item, also after an abort, and once at a time', async () => {
  const sets: string[] = [];
  let finish = () => {};
  const set = (cursor: string) => {
    sets.push(cursor);
    return new Promise<void>((resolve) => (finish = resolve));
  };
  const store = { get: () => null, set };
  const leave = new AbortController();
  const { fetch } = answering(...Array.from({ length: 3 }, (_, n) => () => streamed([block(n), block(n + 1)], 'open')));
  const items = subscribe(url, { topics: 't', fetch, store, signal: leave.signal })[Symbol.asyncIterator]();
  await items.next();
  leave.abort(new Error('enough'));
  await assert.rejects(soon('an abort', items.next()), /enough/);
  assert.deepEqual(sets, ['e-0']);

  const subscription = subscribe(url, { topics: 't', fetch, store });
  const first = subscription[Symbol.asyncIterator]();
  await first.next();
  void first.next();
  await turn();
  await soon('return()', first.return());
  const second = subscription[Symbol.asyncIterator]();
  await second.next();
  const next = second.next();
  await turn();
  assert.deepEqual(sets, ['e-0', 'e-1']);
  finish();
  await turn();
  assert.deepEqual(sets, ['e-0', 'e-1', 'e-2']);
  finish();
  await soon('next()', next);
});

test('a function for a token may have none for now', async () => {
  /** Fails twice, and then has a token. */
  const later = () => {
    const calls = { count: 0 };
    const token = async () => {
      if (++calls.count <= 2) throw new NetworkError('the login is down');
      return 'a';
    };
    return { calls, token };
  };
  const one = later();
  const first = answering(receipt);
  const outcome = await publishedPaused(() => publish(url, 't', 'x', { fetch: first.fetch, token: one.token }));
  assert.equal((outcome as { id: string }).id, 'e-1');
  assert.equal(one.calls.count, 3);
  assert.equal(first.requests.length, 1);
  assert.equal(new Headers(first.requests[0]!.init.headers).get('authorization'), 'Bearer a');

  const two = later();
  const gone = answering(() => new Response(null, { status: 204 }));
  const told: Status[] = [];
  const options = { topics: 't', fetch: gone.fetch, token: two.token, onStatus: (status: Status) => told.push(status) };
  await publishedPaused(() => subscribe(url, { ...options, onItem: () => {} }).done);
  const delays = told.map((status) => (status.state === 'waiting' ? status : null)).filter((status) => status !== null);
  assert.equal(delays.length, 2);
  assert.ok(delays[1]!.delay > delays[0]!.delay && delays[0]!.error instanceof NetworkError);

  // Nothing was sent, so it is certain.
  const never = () => Promise.reject(new NetworkError('the login is down'));
  const given = await publishedPaused(() => publish(url, 't', 'x', { token: never, giveUpAfter: 2_000 }));
  assert.ok(given instanceof NetworkError, String(given));
});

test('what else a function for a token throws ends the call with it', async () => {
  const { fetch, requests } = answering(receipt);
  const token = () => Promise.reject(new RangeError('signed out'));
  await assert.rejects(publish(url, 't', 'x', { fetch, token }), /RangeError: signed out/);
  await assert.rejects(subscribe(url, { topics: 't', fetch, token, onItem: () => {} }).done, /RangeError: signed out/);
  const tokens = stream(url, 't', { fetch, token });
  await tokens.write('x');
  await assert.rejects(tokens.close(), /RangeError: signed out/);
  assert.equal(requests.length, 0);
});

test('a time to give up after is a number that is not negative', async () => {
  for (const giveUpAfter of [-1, NaN, Infinity]) {
    const { fetch, requests } = answering(receipt);
    await assert.rejects(publish(url, 't', 'x', { fetch, giveUpAfter }), RangeError);
    await assert.rejects(publishBatch(url, [], { fetch, giveUpAfter }), RangeError);
    assert.throws(() => stream(url, 't', { fetch, giveUpAfter }), RangeError);
    assert.equal(requests.length, 0);
  }
});

test('a log keeps at least one item', () => {
  for (const limit of [0, -1, 0.5, NaN]) {
    assert.throws(() => new EventLog({ url, topics: 't', limit }), RangeError, `${limit}`);
  }
  for (const limit of [1, Infinity, undefined]) new EventLog({ url, topics: 't', limit });
});

test('an answer that comes in drops is bounded as a whole', async () => {
  // A byte every second, for longer than the bound.
  const dripping = (init: ResponseInit) => () => {
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        controller.enqueue(new Uint8Array([0x20]));
      },
    });
    return new Response(body, init);
  };
  const json = { headers: { 'content-type': 'application/json' } };
  const { fetch } = answering(dripping(json), dripping(json), dripping(json));
  const begun = { turns: 0 };
  const error = await publishedPaused(
    () => publish(url, 't', 'x', { fetch, giveUpAfter: 10_000 }),
    () => void (begun.turns += 1),
    ['setTimeout', 'Date'],
  );
  assert.ok(error instanceof PublishUncertain && error.cause instanceof NetworkError, String(error));
  // A turn is 50 ms.
  assert.ok(begun.turns >= 195 && begun.turns <= 215, `${begun.turns}`);
  // The status says enough.
  const refusing = answering(dripping({ status: 403 }));
  const refused = await publishedPaused(() => publish(url, 't', 'x', { fetch: refusing.fetch, giveUpAfter: 10_000 }));
  assert.ok(refused instanceof HubProblem && refused.status === 403, String(refused));
  const next = answering(dripping({ status: 403 }));
  const ended = await publishedPaused(() => subscribe(url, { topics: 't', fetch: next.fetch, onItem: () => {} }).done);
  assert.ok(ended instanceof HubProblem && ended.status === 403, String(ended));
});
