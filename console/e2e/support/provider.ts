// A provider of language models as a process of its own would be one: an HTTP server that speaks OpenAI's and Anthropic's streams.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Answer {
  /** Said before the answer. */
  thoughts?: string[];
  words: string[];
  /** Between two words, in milliseconds. */
  pace?: number;
  /** After so many words it waits for [`Provider.release`]. */
  holdAfter?: number;
  /** `done` by default; `error` is a frame of an error within the stream, `cut` is a stream without its end. */
  end?: 'done' | 'error' | 'cut';
  /** A refusal instead of a stream. */
  refuse?: { status: number; message: string };
  tool?: { name: string; arguments: string[] };
}

export class Provider {
  /** What it says to the next requests. */
  answer: Answer = { words: ['Hello', ' world', '.'] };
  /** The bodies of the requests so far. */
  readonly asked: Record<string, unknown>[] = [];
  private readonly directory = mkdtempSync(join(tmpdir(), 'gapless-provider-'));
  private waiting: (() => void)[] = [];

  private constructor(private readonly server: Server) {}

  static async start(): Promise<Provider> {
    const server = createServer();
    const provider = new Provider(server);
    server.on('request', (request, response) => void provider.serve(request, response));
    await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
    return provider;
  }

  /** Flags of a hub that has it as `local` (OpenAI's dialect) and `claude` (Anthropic's). */
  get flags(): string[] {
    const url = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
    const config = join(this.directory, 'hub.toml');
    writeFileSync(
      config,
      `[relay.providers.local]\ndialect = "openai"\nurl = "${url}"\n[relay.providers.claude]\ndialect = "anthropic"\nurl = "${url}"\nmodels = ["claude-*"]\n`,
    );
    return ['--config', config];
  }

  /** Goes on after [`Answer.holdAfter`]. */
  release(): void {
    for (const go of this.waiting.splice(0)) go();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.release();
    this.server.closeAllConnections();
    await new Promise((closed) => this.server.close(closed));
    rmSync(this.directory, { recursive: true, force: true });
  }

  private async serve(request: IncomingMessage, response: ServerResponse) {
    if (request.method === 'GET') {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ object: 'list', data: [{ id: 'tiny-1' }, { id: 'tiny-2' }] }));
      return;
    }
    let body = '';
    for await (const chunk of request) body += String(chunk);
    this.asked.push(JSON.parse(body) as Record<string, unknown>);
    const { answer } = this;
    if (answer.refuse) {
      response.writeHead(answer.refuse.status, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ error: { type: 'refused', message: answer.refuse.message } }));
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const dialect = request.url!.startsWith('/v1/messages') ? anthropic(answer) : openAi(answer);
    let said = 0;
    for (const { frame, word } of dialect) {
      if (response.destroyed) return;
      if (word) {
        if (answer.holdAfter !== undefined && said === answer.holdAfter) await new Promise<void>((go) => this.waiting.push(go));
        said += 1;
        if (answer.pace) await new Promise((wait) => setTimeout(wait, answer.pace));
      }
      response.write(frame);
    }
    response.end();
  }
}

interface Part {
  frame: string;
  word?: boolean;
}

function* openAi({ thoughts = [], words, end, tool }: Answer): Generator<Part> {
  const frame = (choices: unknown[], more = {}) => `data: ${JSON.stringify({ id: 'c1', object: 'chat.completion.chunk', created: 1, model: 'tiny-1', choices, ...more })}\n\n`;
  const delta = (delta: unknown) => frame([{ index: 0, delta, finish_reason: null }]);
  for (const thought of thoughts) yield { frame: delta({ reasoning_content: thought }) };
  for (const word of words) yield { frame: delta({ content: word }), word: true };
  if (tool) {
    yield { frame: delta({ tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: tool.name, arguments: '' } }] }) };
    for (const part of tool.arguments) yield { frame: delta({ tool_calls: [{ index: 0, function: { arguments: part } }] }) };
  }
  if (end === 'cut') return;
  if (end === 'error') return yield { frame: `data: ${JSON.stringify({ error: { message: 'The model is overloaded', type: 'server_error' } })}\n\n` };
  yield { frame: frame([{ index: 0, delta: {}, finish_reason: 'stop' }]) };
  yield { frame: frame([], { usage: { prompt_tokens: 7, completion_tokens: words.length, total_tokens: 7 + words.length } }) };
  yield { frame: 'data: [DONE]\n\n' };
}

function* anthropic({ thoughts = [], words, end }: Answer): Generator<Part> {
  const frame = (type: string, data: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`;
  yield { frame: frame('message_start', { message: { id: 'm1', type: 'message', role: 'assistant', model: 'claude-tiny', content: [], usage: { input_tokens: 7, output_tokens: 1 } } }) };
  const blocks: [string, string, string[]][] = [['thinking', 'thinking_delta', thoughts], ['text', 'text_delta', words]];
  let index = 0;
  for (const [type, deltaType, parts] of blocks) {
    if (!parts.length) continue;
    yield { frame: frame('content_block_start', { index, content_block: { type, [type]: '' } }) };
    for (const part of parts) yield { frame: frame('content_block_delta', { index, delta: { type: deltaType, [type]: part } }), word: type === 'text' };
    yield { frame: frame('content_block_stop', { index }) };
    index += 1;
  }
  if (end === 'cut') return;
  if (end === 'error') return yield { frame: frame('error', { error: { type: 'overloaded_error', message: 'Overloaded' } }) };
  yield { frame: frame('message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: words.length } }) };
  yield { frame: frame('message_stop', {}) };
}
