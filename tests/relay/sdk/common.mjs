// What the scripts of Node's SDKs share: a job a line on stdin, a document a line on stdout. common.py describes both.
import { createInterface } from 'node:readline';

export const PROMPT = 'Should I take a coat? 🧥';

class Seen {
  chunks = [];
  text = '';
  reasoning = '';
  tools = [];
  usage = null;
  finish = null;
  headers = {};
  error = null;

  // Hands each chunk of a stream to `chunk`, up to the job's "take"; leaving the loop closes the stream.
  async take(stream, job, chunk) {
    for await (const value of stream) {
      chunk(value);
      if (this.chunks.length === job.take) break;
    }
  }

  // A tool call, or more of its arguments: `key` tells calls apart.
  callTool(key, { id, name, arguments: more }) {
    let tool = this.tools.find(tool => tool.key === key);
    if (!tool) this.tools.push(tool = { key, id: null, name: null, arguments: '' });
    tool.id ??= id ?? null;
    tool.name ??= name ?? null;
    tool.arguments += more ?? '';
  }

  fail(error) {
    const status = error?.status ?? error?.status_code ?? error?.statusCode ?? error?.code;
    this.error = { class: error?.constructor?.name ?? typeof error, status: Number.isInteger(status) ? status : null,
      message: error instanceof Error ? error.message : JSON.stringify(error) };
  }
}

export const serve = async calls => {
  for await (const line of createInterface({ input: process.stdin })) {
    const job = JSON.parse(line), seen = new Seen();
    try {
      await calls[job.call](job, seen);
    } catch (error) {
      seen.fail(error);
    }
    for (const tool of seen.tools) delete tool.key;
    console.log(JSON.stringify(seen));
  }
  process.exit(0);
};
