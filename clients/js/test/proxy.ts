import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';

export interface Answer {
  status: number;
  headers?: Record<string, string>;
  body?: string;
}

interface Pair {
  client: Socket;
  hub: Socket;
  frozen: boolean;
  /** Whatever the client sends goes to the hub. */
  passing: boolean;
  /** Bytes that may still go to the client. */
  left: number;
}

/** A TCP proxy in front of a hub, with faults. */
export class Proxy {
  mode: 'open' | 'closed' | 'silent' = 'open';
  cutAfter: number[] = [];
  lose = 0;
  /** Null: the hub's. */
  answers: (Answer | null)[] = [];
  /** Bytes that went to clients. */
  passed = 0;
  readonly #pairs = new Set<Pair>();
  readonly #server: Server;

  constructor(readonly hubPort: () => number) {
    this.#server = createServer((client) => this.#accept(client));
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  become(is: string): void {
    if (is === 'silent') for (const pair of this.#pairs) this.#freeze(pair);
    else if (is !== 'open') for (const pair of this.#pairs) this.#break(pair);
    this.mode = is === 'cut' ? 'open' : (is as 'open' | 'closed' | 'silent');
  }

  close(): void {
    this.become('closed');
    this.#server.close();
  }

  #accept(client: Socket): void {
    if (this.mode === 'closed') return void client.destroy();
    const hub = connect(this.hubPort(), '127.0.0.1');
    const pair: Pair = { client, hub, frozen: false, passing: false, left: this.cutAfter.shift() ?? Infinity };
    this.#pairs.add(pair);
    for (const socket of [client, hub]) socket.setNoDelay(true).on('error', () => {});
    client.on('close', () => pair.frozen || this.#break(pair));
    // What the hub has sent before still goes to the client.
    hub.on('close', () => pair.frozen || client.destroySoon());
    if (this.mode === 'silent') return this.#freeze(pair);
    client.on('data', (bytes) => this.#toHub(pair, bytes as Buffer));
    hub.on('data', (bytes) => this.#toClient(pair, bytes as Buffer));
    client.on('end', () => pair.frozen || hub.end());
    hub.on('end', () => pair.frozen || client.end());
    client.on('drain', () => pair.frozen || hub.resume());
    hub.on('drain', () => pair.frozen || client.resume());
  }

  #toHub(pair: Pair, bytes: Buffer): void {
    const answer = pair.passing ? undefined : this.answers.shift();
    if (!answer) {
      pair.passing ||= answer === null;
      if (!pair.hub.write(bytes)) pair.client.pause();
      return;
    }
    const { status, headers = {}, body = '' } = answer;
    const lines = Object.entries({ ...headers, 'Content-Length': Buffer.byteLength(body), Connection: 'close' });
    const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    pair.hub.removeAllListeners('data').removeAllListeners('close').removeAllListeners('end').destroy();
    pair.client.removeAllListeners('data').on('data', () => {});
    pair.client.end(`HTTP/1.1 ${status} Answer\r\n${head}\r\n${body}`);
  }

  #toClient(pair: Pair, bytes: Buffer): void {
    if (this.lose > 0) {
      this.lose -= 1;
      return this.#break(pair);
    }
    const part = bytes.subarray(0, pair.left);
    pair.left -= part.length;
    this.passed += part.length;
    if (!pair.client.write(part)) pair.hub.pause();
    if (pair.left === 0) pair.hub.destroy();
  }

  #freeze(pair: Pair): void {
    pair.frozen = true;
    pair.client.pause();
    pair.hub.pause();
  }

  #break(pair: Pair): void {
    this.#pairs.delete(pair);
    pair.client.destroy();
    pair.hub.destroy();
  }
}
