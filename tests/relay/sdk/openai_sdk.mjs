import OpenAI from 'openai';
import { PROMPT, serve } from './common.mjs';

const messages = [{ role: 'user', content: PROMPT }];
const client = job => new OpenAI({
  baseURL: job.base_url, apiKey: job.token, maxRetries: job.retries ?? 0, defaultHeaders: job.headers });
const chatRequest = job => ({ model: job.model ?? 'gpt-4o-mini', messages });

const keepMessage = (seen, message) => {
  seen.text += message.content ?? '';
  seen.reasoning += message.reasoning_content ?? '';
  (message.tool_calls ?? []).forEach((call, at) => seen.callTool(at, { id: call.id, ...call.function }));
};

const keepChunk = (seen, chunk) => {
  seen.chunks.push(chunk);
  seen.usage = chunk.usage ?? seen.usage;
  for (const { delta, finish_reason } of chunk.choices) {
    seen.text += delta.content ?? '';
    seen.reasoning += delta.reasoning_content ?? '';
    for (const call of delta.tool_calls ?? []) seen.callTool(call.index, { id: call.id, ...call.function });
    seen.finish = finish_reason ?? seen.finish;
  }
};

const streamed = { stream: true, stream_options: { include_usage: true } };

const keepResponse = (seen, response) => {
  seen.finish = response.status;
  seen.usage = response.usage ?? null;
};

await serve({
  async chat(job, seen) {
    const { data, response } =
      await client(job).chat.completions.create({ ...chatRequest(job), ...streamed }).withResponse();
    seen.headers = Object.fromEntries(response.headers);
    await seen.take(data, job, chunk => keepChunk(seen, chunk));
  },
  async chat_helper(job, seen) {
    const stream = client(job).chat.completions.stream({ ...chatRequest(job), ...streamed });
    stream.on('chunk', chunk => seen.chunks.push(structuredClone(chunk)));
    const answer = await stream.finalChatCompletion();
    keepMessage(seen, answer.choices[0].message);
    seen.finish = answer.choices[0].finish_reason;
    seen.usage = answer.usage ?? null;
  },
  async chat_whole(job, seen) {
    const { data, response } = await client(job).chat.completions.create(chatRequest(job)).withResponse();
    seen.headers = Object.fromEntries(response.headers);
    seen.chunks.push(data);
    keepMessage(seen, data.choices[0].message);
    seen.finish = data.choices[0].finish_reason;
    seen.usage = data.usage;
  },
  async responses(job, seen) {
    const { data, response } =
      await client(job).responses.create({ model: job.model ?? 'gpt-5-mini', input: PROMPT, stream: true }).withResponse();
    seen.headers = Object.fromEntries(response.headers);
    await seen.take(data, job, event => {
      seen.chunks.push(event);
      const { type, delta, item, output_index: key } = event;
      if (type === 'response.output_text.delta') seen.text += delta;
      if (type === 'response.reasoning_summary_text.delta') seen.reasoning += delta;
      if (type === 'response.output_item.added' && item.type === 'function_call') {
        seen.callTool(key, { id: item.call_id, name: item.name });
      }
      if (type === 'response.function_call_arguments.delta') seen.callTool(key, { arguments: delta });
      if (/^response\.(completed|failed|incomplete)$/.test(type)) keepResponse(seen, event.response);
    });
  },
  async responses_whole(job, seen) {
    const response = await client(job).responses.create({ model: job.model ?? 'gpt-5-mini', input: PROMPT });
    seen.text = response.output_text;
    for (const item of response.output) {
      if (item.type === 'reasoning') seen.reasoning += item.summary.map(part => part.text).join('');
      if (item.type === 'function_call') {
        seen.callTool(item.id, { id: item.call_id, name: item.name, arguments: item.arguments });
      }
    }
    keepResponse(seen, response);
    const { output_text, _request_id, ...sent } = response; // the SDK adds these
    seen.chunks.push(sent);
  },
  async models(job, seen) {
    for await (const model of client(job).models.list()) seen.chunks.push(model);
  },
});
