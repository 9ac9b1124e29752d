// Runs clients/vectors/*.json: their format is in clients/vectors/README.md.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import {
  type Item,
  PublishUncertain,
  type PublishStream,
  type Receipt,
  type Token,
  publish,
  publishBatch,
  stream,
  subscribe,
} from 'gapless';
import { HubProcess, PATIENCE, until } from './hub.js';
import { Proxy } from './proxy.js';

// A step's fields are those of the format; wrong ones fail when they are used.
type Step = Record<string, any>;

/** A subscription with its consumer. */
class Consumer {
  taken: Step[] = [];
  end: 'done' | 'failed' | Error | null = null;
  tokens = 0;
  readonly #leave = new AbortController();
  take = () => {};
  readonly #again = new Promise<void>((resolve) => (this.take = resolve));
  /** Gaps and ends that were told: they may come again. */
  readonly #told = new Set<string>();

  constructor(url: string, step: Step, store: Map<string, string>) {
    const { topics, from, since, cursor, delivery, token, store: name, pause_after, fails_on } = step;
    const kept = name && { get: () => store.get(name), set: (id: string) => void store.set(name, id) };
    const options = { topics, from, since, cursor, delivery, store: kept, token: tokenOf(token, () => this.tokens++) };
    void this.#consume(subscribe(url, { ...options, signal: this.#leave.signal }), pause_after, fails_on);
  }

  async #consume(items: AsyncIterable<Item>, pauseAfter?: number, failsOn?: string): Promise<void> {
    try {
      let count = 0;
      for await (const item of items) {
        if (failsOn !== undefined && item.type === 'event' && item.data === failsOn) throw 'failed';
        const spelled = translated(item);
        const told = JSON.stringify({ ...spelled, resumes_at: null });
        if (!this.#told.has(told)) this.taken.push(spelled);
        if (item.type === 'gap' || item.type === 'end') this.#told.add(told);
        if (++count === pauseAfter) await this.#again;
      }
      this.end = 'done';
    } catch (error) {
      this.end = error as 'failed' | Error;
    }
  }

  leave = () => this.#leave.abort();
}

/** A text, or a function that goes through a list of them. */
function tokenOf(token: string | string[] | undefined, count: () => number): Token | undefined {
  return Array.isArray(token) ? () => token[Math.min(count(), token.length - 1)]! : token;
}

/** An item or a problem as the format spells it. */
function translated(value: object): Step {
  const snake = (name: string) => name.replace(/[A-Z]/g, (capital) => `_${capital.toLowerCase()}`);
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [snake(name), member]));
}

class Scenario {
  readonly hub = new HubProcess();
  readonly proxy = new Proxy(() => this.hub.port);
  url = '';
  flags: string[];
  readonly saved: Record<string, string> = {};
  readonly stores = new Map<string, string>();
  readonly consumers: Record<string, Consumer> = {};
  readonly streams: Record<string, PublishStream> = {};
  readonly background: Record<string, Promise<void>> = {};

  readonly over = new AbortController();

  constructor(readonly file: Step) {
    this.flags = file['flags'] ?? [];
  }

  async run(): Promise<void> {
    this.url = `http://127.0.0.1:${await this.proxy.listen()}`;
    try {
      for (const [index, step] of this.file['steps'].entries()) {
        await bounded(this.step(step)).catch((cause) => {
          const all = Object.values(this.consumers).map(({ taken, end }) => ({ taken: taken.slice(0, 9), end }));
          const state = JSON.stringify(all).slice(0, 3000);
          throw new Error(`step ${index} ${JSON.stringify(step).slice(0, 300)}: ${cause}; ${state}`, { cause });
        });
      }
    } finally {
      this.over.abort();
      for (const consumer of Object.values(this.consumers)) consumer.leave();
      this.proxy.close();
      await this.hub.remove();
    }
  }

  async step(step: Step): Promise<void> {
    const path = (step['path'] ?? '').replace(/\$([a-zA-Z]+)/g, (_: string, name: string) => this.saved[name]);
    switch (step['do']) {
      case 'hub':
        if (step['is'] === 'killed') return this.hub.end('SIGKILL');
        if (step['is'] === 'stopped') return this.hub.end('SIGTERM');
        return this.hub.start((this.flags = step['flags'] ?? this.flags), step['store']);
      case 'request': {
        const { status } = await this.hub.request(step['method'], path, step['body'], step['token']);
        return assert.equal(status, step['status']);
      }
      case 'await':
        await until(`${path} has ${JSON.stringify(step['has'])}`, async () => {
          const answer = await this.hub.request('GET', path, undefined, step['token']);
          this.match(await answer.json(), step['has']);
          return true;
        });
        return;
      case 'fill': {
        const batch = filled(step).map((data) => ({ topic: step['topic'], data }));
        const answer = await this.hub.request('POST', '/publish', batch, step['token']);
        return assert.equal(answer.status, 200);
      }
      case 'kept':
        return assert.deepEqual(await this.kept(step['topic'], step['token']), filled(step));
      case 'proxy':
        if (step['is']) this.proxy.become(step['is']);
        if (step['cut_after']) this.proxy.cutAfter = [...step['cut_after']];
        if (step['answers']) this.proxy.answers = [...step['answers']];
        if (step['lose']) this.proxy.lose = step['lose'];
        if (step['holds']) await this.holds(step['holds']);
        return;
      case 'publish':
        return this.outcome(step, () => this.publish(step));
      case 'write':
        return this.outcome(step, async () => {
          const name = step['as'];
          this.streams[name] ??= stream(this.url, step['topic'], { token: step['token'], signal: this.over.signal });
          for (const data of filled(step)) await this.streams[name].write(data, { event: step['event'] });
        });
      case 'finish':
        return this.outcome(step, () => this.streams[step['as']]!.close(step['last']));
      case 'join':
        return this.background[step['of']];
      case 'subscribe':
        step = { ...step, cursor: this.known(step['cursor']) };
        this.consumers[step['as']] = new Consumer(this.url, step, this.stores);
        return;
      case 'take':
        return this.consumers[step['of']]!.take();
      case 'leave': {
        const consumer = this.consumers[step['of']]!;
        consumer.leave();
        await until('the consumer has left', () => consumer.end);
        return;
      }
      case 'expect':
        return this.expect(this.consumers[step['of']]!, step);
      case 'cursor':
        await until('the store has the cursor', () => this.stores.get(step['store']) === this.known(step['is']));
        return;
      default:
        throw new Error('no such step');
    }
  }

  /** Waits until the proxy has passed nothing on for a while. */
  async holds(bytes: number): Promise<void> {
    for (let before = -1; before < this.proxy.passed; await pause(1_000)) before = this.proxy.passed;
    assert.ok(this.proxy.passed < bytes, `${this.proxy.passed} bytes went to the client`);
  }

  /** Does what publishes, now or in the background, and judges the outcome. */
  async outcome(step: Step, work: () => Promise<unknown>): Promise<void> {
    const judged = (async () => {
      const [done, failure] = await work().then(
        (result) => [result, null],
        (error) => [null, error],
      );
      if (failure && !step['error'] && !step['uncertain']) throw failure;
      if (step['uncertain']) {
        assert.ok(failure instanceof PublishUncertain, String(failure));
        const { key, cause } = failure;
        this.match({ key, cause: translated(cause as Error) }, step['uncertain']);
      }
      if (step['error']) this.match(translated(failure ?? {}), step['error']);
      if (step['receipt']) this.match(done, step['receipt']);
      if (step['receipts']) this.match(done, step['receipts']);
      const receipts = [done].flat() as Receipt[];
      for (const [index, name] of [step['save'] ?? []].flat().entries()) this.saved[name] = receipts[index]!.id;
    })();
    if (!step['background']) return judged;
    this.background[step['background']] = judged;
    judged.catch(() => {});
  }

  publish({ topic, data, batch, event, close, if_match, key, token }: Step): Promise<unknown> {
    let calls = 0;
    const options = {
      key,
      token: tokenOf(token, () => calls++),
      ...(if_match && { ifMatch: if_match === 'none' ? null : this.known(if_match) }),
    };
    return batch
      ? publishBatch(this.url, batch, options)
      : publish(this.url, topic, data, { event, close, ...options });
  }

  async expect(consumer: Consumer, step: Step): Promise<void> {
    const list = step['items'] ?? (step['count'] && filled(step).map((data) => ({ type: 'event', data })));
    if (list) {
      await until(`${list.length} items`, () => consumer.taken.length >= list.length || consumer.end !== null);
      this.match(consumer.taken.splice(0, list.length), list);
    } else if ('tokens' in step) {
      assert.equal(consumer.tokens, step['tokens']);
    } else {
      await until('the subscription has ended', () => consumer.end !== null);
      assert.deepEqual(consumer.taken, []);
      if (step['error']) this.match(translated(consumer.end as Error), step['error']);
      else assert.equal(consumer.end, step['failed'] ? 'failed' : 'done');
    }
  }

  async kept(topic: string, token?: string): Promise<string[]> {
    const all: string[] = [];
    for (let start = 'from=earliest'; ;) {
      const path = `/events?topic=${encodeURIComponent(topic)}&limit=1000&${start}`;
      const page = (await (await this.hub.request('GET', path, undefined, token, 'application/json')).json()) as Step;
      if (page['events'].length === 0) return all;
      all.push(...page['events'].map(({ data }: Step) => data));
      start = `last_event_id=${page['next']}`;
    }
  }

  known(value: unknown): any {
    return typeof value === 'string' && value.startsWith('$') ? this.saved[value.slice(1)] : value;
  }

  match(actual: any, expected: any): void {
    if (Array.isArray(expected)) {
      assert.equal(actual?.length, expected.length, `${JSON.stringify(actual)} is as long`);
      expected.forEach((item, index) => this.match(actual[index], item));
    } else if (expected && typeof expected === 'object') {
      for (const [name, value] of Object.entries(expected)) this.match(actual?.[name], value);
    } else {
      assert.equal(actual ?? null, this.known(expected));
    }
  }
}

/** A step that never ends fails: later than what it waits for by itself. */
async function bounded<T>(step: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>(
    (_, reject) => (timer = setTimeout(reject, 2 * PATIENCE, new Error('it never ended'))),
  );
  return Promise.race([step, late]).finally(() => clearTimeout(timer));
}

/** The data of a step: a list, or so many texts, as `fill` publishes them. */
function filled({ data, count, bytes = 0 }: Step): any[] {
  return count === undefined ? data : Array.from({ length: count }, (_, n) => `${data}${n}`.padEnd(bytes, '.'));
}

const place = process.env['GAPLESS_VECTORS']!;
const only = process.env['GAPLESS_VECTOR'];
const files = readdirSync(place).filter((name) => name.endsWith('.json') && (!only || name === `${only}.json`));
if (files.length === 0) throw new Error(`no vector${only ? ` ${only}` : 's'} in ${place}`);

describe('vectors', { concurrency: 8 }, () => {
  for (const name of files) {
    const file = JSON.parse(readFileSync(join(place, name), 'utf8'));
    test(`${file.name}: ${file.promise}`, () => new Scenario(file).run());
  }
});
