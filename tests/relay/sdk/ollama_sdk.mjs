import { Ollama } from 'ollama';
import { PROMPT, serve } from './common.mjs';

const client = job => new Ollama({
  host: job.base_url, headers: { Authorization: 'Bearer ' + job.token, ...job.headers } });
const request = job => ({ model: job.model ?? 'qwen3:4b', messages: [{ role: 'user', content: PROMPT }] });

const keep = (seen, answer) => {
  seen.chunks.push(answer);
  const { message } = answer;
  seen.text += message.content ?? '';
  seen.reasoning += message.thinking ?? '';
  for (const { function: { name, arguments: given } } of message.tool_calls ?? []) {
    seen.callTool(seen.tools.length, { name, arguments: JSON.stringify(given) });
  }
  if (answer.done) {
    seen.finish = answer.done_reason;
    seen.usage = { prompt_eval_count: answer.prompt_eval_count, eval_count: answer.eval_count };
  }
};

await serve({
  async chat(job, seen) {
    const ollama = client(job);
    const stream = await ollama.chat({ ...request(job), stream: true });
    await seen.take(stream, job, chunk => keep(seen, chunk));
    ollama.abort(); // its way to close a stream
  },
  async chat_whole(job, seen) {
    keep(seen, await client(job).chat({ ...request(job), stream: false }));
  },
  async models(job, seen) {
    seen.chunks = (await client(job).list()).models;
  },
});
