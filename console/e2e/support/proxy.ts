// A proxy that serves the hub below a path of a site.
import { type Server, createServer, request } from 'node:http';

export class Proxy {
  private constructor(
    private readonly server: Server,
    readonly address: string,
  ) {}

  /** Strips `path`, which begins and ends with a slash, and passes the rest on. */
  static async start(path: string, hub: string): Promise<Proxy> {
    const server = createServer((incoming, outgoing) => {
      if (!incoming.url!.startsWith(path)) return void outgoing.writeHead(404).end();
      const onward = request(hub + incoming.url!.slice(path.length), { method: incoming.method, headers: incoming.headers }, (answer) => {
        outgoing.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(outgoing);
      });
      onward.on('error', () => outgoing.destroy());
      outgoing.on('close', () => onward.destroy());
      incoming.pipe(onward);
    });
    await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
    return new Proxy(server, `http://127.0.0.1:${(server.address() as { port: number }).port}${path}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((closed) => this.server.close(closed));
  }
}
