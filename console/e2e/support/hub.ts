// A real hub: the binary, its own data directory, a port of its own.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const BINARY = process.env.GAPLESS_BIN ?? resolve(import.meta.dirname, '../../../target/debug/gapless');

/** Longest wait for anything in these tests, in milliseconds: the machine may be busy. */
export const PATIENCE = 30_000;

async function freePort(): Promise<number> {
  return await new Promise((found) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => found(port));
    });
  });
}

export class Hub {
  private process: ChildProcess | null = null;
  private log = '';
  private constructor(
    readonly port: number,
    readonly data: string,
    private readonly flags: string[],
    private readonly environment: Record<string, string>,
  ) {}

  /** Starts a hub with these flags besides its address and its data directory. */
  static async start(flags: string[] = [], environment: Record<string, string> = {}): Promise<Hub> {
    const hub = new Hub(await freePort(), mkdtempSync(join(tmpdir(), 'gapless-e2e-')), flags, environment);
    await hub.again();
    return hub;
  }

  get address(): string {
    return `http://127.0.0.1:${this.port}/`;
  }

  /** What the hub has logged. */
  get logged(): string {
    return this.log;
  }

  /** Starts the process, at the same address with the same data. `more`: flags besides those of the start. */
  async again(more: string[] = []): Promise<void> {
    const child = spawn(BINARY, ['serve', '--listen', `127.0.0.1:${this.port}`, '--data', join(this.data, 'store'), ...this.flags, ...more], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: process.env.PATH, ...this.environment },
    });
    this.process = child;
    child.stderr!.on('data', (text) => (this.log += text));
    await until('the hub is ready', async () => {
      if (child.exitCode !== null) throw new Error(`the hub ended with ${child.exitCode}: ${this.log}`);
      return (await fetch(this.address + 'healthz')).ok;
    });
  }

  /** kill -9. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** Drains. */
  async stop(): Promise<void> {
    await this.end('SIGTERM');
  }

  private async end(signal: NodeJS.Signals) {
    const child = this.process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((ended) => child.once('exit', ended));
    child.kill(signal);
    await gone;
  }

  /** Ends it, and removes its data. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGKILL');
    rmSync(this.data, { recursive: true, force: true });
  }

  async fetch(path: string, init?: RequestInit): Promise<Response> {
    return await fetch(this.address + path, init);
  }

  /** Publishes, and returns the event's id. `query`: more than the topic, such as `&event=token`. */
  async publish(topic: string, data: string, query = '', headers: Record<string, string> = {}): Promise<string> {
    const response = await this.fetch(`publish?topic=${encodeURIComponent(topic)}${query}`, { method: 'POST', body: data, headers });
    if (!response.ok) throw new Error(await response.text());
    return ((await response.json()) as { id: string }).id;
  }

  /** Publishes all in one commit. */
  async publishAll(events: { topic: string; data: unknown; event?: string }[]): Promise<void> {
    const response = await this.fetch('publish', { method: 'POST', body: JSON.stringify(events) });
    if (!response.ok) throw new Error(await response.text());
  }

  /** The data of the events that a topic keeps, the newest thousand. */
  async kept(topic: string): Promise<string[]> {
    const query = new URLSearchParams({ topic, from: 'last:1000', limit: '1000' });
    const response = await this.fetch('events?' + query, { headers: { Accept: 'application/json' } });
    return ((await response.json()) as { events: { data: string }[] }).events.map(({ data }) => data);
  }
}

/** Waits until `done` is true. What it throws counts as not yet, until the time is over. */
export async function until(what: string, done: () => Promise<boolean> | boolean, patience = PATIENCE): Promise<void> {
  const deadline = Date.now() + patience;
  let last: unknown;
  for (;;) {
    try {
      if (await done()) return;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`not within ${patience} ms: ${what}`, { cause: last });
    await new Promise((wait) => setTimeout(wait, 50));
  }
}
