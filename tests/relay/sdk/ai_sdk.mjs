// Vercel's AI SDK with its provider for anything that speaks OpenAI's dialect.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { streamText, jsonSchema, tool } from 'ai';
import { PROMPT, serve } from './common.mjs';

const weather = tool({
  inputSchema: jsonSchema({ type: 'object', properties: { city: { type: 'string' }, unit: { type: 'string' } } }) });

await serve({
  async chat(job, seen) {
    const provider = createOpenAICompatible({
      name: 'relay', baseURL: job.base_url, apiKey: job.token, headers: job.headers, includeUsage: true });
    const stop = new AbortController();
    const { fullStream, response } = streamText({
      model: provider(job.model ?? 'gpt-4o-mini'), prompt: PROMPT, tools: { weather }, maxRetries: job.retries ?? 0,
      abortSignal: stop.signal, onError() {} });
    response.then(undefined, () => {}); // an error is a part, too
    for await (const part of fullStream) {
      const { request, response: { headers, timestamp, ...response } = {}, ...rest } = part;
      seen.chunks.push({ ...rest, response, error: undefined });
      seen.headers = headers ?? seen.headers;
      if (part.type === 'text-delta') seen.text += part.text;
      if (part.type === 'reasoning-delta') seen.reasoning += part.text;
      if (part.type === 'tool-call') {
        const { toolCallId: id, toolName: name, input } = part;
        seen.callTool(id, { id, name, arguments: JSON.stringify(input) });
      }
      if (part.type === 'finish-step') seen.usage = part.usage.raw ?? null;
      if (part.type === 'finish') seen.finish = part.finishReason;
      if (part.type === 'error') seen.fail(part.error);
      if (seen.chunks.length === job.take) stop.abort();
    }
  },
});
