import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

/** How long a test waits for anything, in milliseconds: a machine with other work is slow. */
export const PATIENCE = 20_000;

const BINARY = process.env['GAPLESS_BIN'];

/** Waits until it holds. */
export async function until<T>(what: string, holds: () => T | Promise<T>): Promise<T> {
  const deadline = performance.now() + PATIENCE;
  let last: unknown;
  for (;;) {
    try {
      const value = await holds();
      if (value) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) throw new Error(`never happened: ${what}; last: ${last}`);
    await pause(15);
  }
}

/** The real hub, as a process that can be killed and started again. */
export class HubProcess {
  readonly #place = mkdtempSync(join(tmpdir(), 'gapless-js-'));
  #stores = 0;
  #process: ChildProcess | null = null;
  #log = '';
  port = 0;

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async start(flags: readonly string[], store: 'same' | 'new' = 'same'): Promise<void> {
    if (!BINARY) throw new Error('GAPLESS_BIN names no binary');
    await this.end();
    if (store === 'new') this.#stores += 1;
    const data = join(this.#place, `store-${this.#stores}`);
    const open = flags.includes('--access-tokens') ? [] : ['--open'];
    const listen = `127.0.0.1:${this.port}`;
    const child = spawn(BINARY, ['serve', '--data', data, '--listen', listen, '--shards', '1', ...open, ...flags]);
    this.#process = child;
    this.#log = '';
    for (const output of [child.stdout, child.stderr]) output.on('data', (text) => (this.#log += text));
    await until('the hub says where it listens', () => {
      if (child.exitCode !== null) throw new Error(`the hub has ended: ${this.#log}`);
      const port = /listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(this.#log)?.[1];
      if (port) this.port = Number(port);
      return port;
    });
    await until('the hub is ready', async () => (await fetch(`${this.url}/readyz`)).ok);
  }

  async end(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill(signal);
    await exit;
  }

  async remove(): Promise<void> {
    await this.end();
    rmSync(this.#place, { recursive: true, force: true });
  }

  /** A request past the client that is tested. */
  async request(method: string, path: string, body?: unknown, token?: string, accept?: string): Promise<Response> {
    const headers: Record<string, string> = { connection: 'close' };
    if (token) headers['authorization'] = `Bearer ${token}`;
    if (accept) headers['accept'] = accept;
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    return fetch(this.url + path, { method, headers, ...(text !== undefined && { body: text }) });
  }
}
