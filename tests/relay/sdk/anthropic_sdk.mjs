import Anthropic from '@anthropic-ai/sdk';
import { PROMPT, serve } from './common.mjs';

const client = job => new Anthropic({
  baseURL: job.base_url, apiKey: job.token, maxRetries: job.retries ?? 0, defaultHeaders: job.headers });
const request = job => ({
  model: job.model ?? 'claude-sonnet-5', max_tokens: 1024, messages: [{ role: 'user', content: PROMPT }] });

const keepMessage = (seen, message) => {
  for (const block of message.content) {
    if (block.type === 'text') seen.text += block.text;
    if (block.type === 'thinking') seen.reasoning += block.thinking;
    if (block.type === 'tool_use') {
      seen.callTool(block.id, { id: block.id, name: block.name, arguments: JSON.stringify(block.input) });
    }
  }
  seen.finish = message.stop_reason;
  seen.usage = message.usage;
};

const keepEvent = (seen, event) => {
  seen.chunks.push(event);
  const { type, delta, index: key } = event;
  if (type === 'message_start') seen.usage = event.message.usage;
  if (type === 'content_block_start' && event.content_block.type === 'tool_use') {
    seen.callTool(key, { id: event.content_block.id, name: event.content_block.name });
  }
  if (type === 'content_block_delta') {
    if (delta.type === 'text_delta') seen.text += delta.text;
    if (delta.type === 'thinking_delta') seen.reasoning += delta.thinking;
    if (delta.type === 'input_json_delta') seen.callTool(key, { arguments: delta.partial_json });
  }
  if (type === 'message_delta') {
    seen.finish = delta.stop_reason;
    seen.usage = { ...seen.usage, ...event.usage };
  }
};

await serve({
  async messages(job, seen) {
    const { data, response } = await client(job).messages.create({ ...request(job), stream: true }).withResponse();
    seen.headers = Object.fromEntries(response.headers);
    await seen.take(data, job, event => keepEvent(seen, event));
  },
  async messages_helper(job, seen) {
    keepMessage(seen, await client(job).messages.stream(request(job)).finalMessage());
  },
  async messages_whole(job, seen) {
    const { _request_id, ...message } = await client(job).messages.create(request(job)); // the SDK adds the id
    seen.chunks.push(message);
    keepMessage(seen, message);
  },
  async models(job, seen) {
    for await (const model of client(job).models.list()) seen.chunks.push(model);
  },
});
