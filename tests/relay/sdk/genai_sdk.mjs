import { GoogleGenAI } from '@google/genai';
import { PROMPT, serve } from './common.mjs';

const client = job => new GoogleGenAI({
  apiKey: job.token, httpOptions: { baseUrl: job.base_url, headers: job.headers } });
const request = job => ({ model: job.model ?? 'gemini-2.5-flash', contents: PROMPT });

const keep = (seen, answer) => {
  const { sdkHttpResponse, ...chunk } = answer;
  seen.chunks.push(chunk);
  seen.headers = sdkHttpResponse?.headers ?? seen.headers;
  seen.usage = answer.usageMetadata ?? seen.usage;
  for (const { content, finishReason } of answer.candidates ?? []) {
    seen.finish = finishReason ?? seen.finish;
    for (const part of content?.parts ?? []) {
      if (part.functionCall) {
        const { id, name, args } = part.functionCall;
        seen.callTool(seen.tools.length, { id, name, arguments: JSON.stringify(args) });
      } else if (part.thought) seen.reasoning += part.text ?? '';
      else seen.text += part.text ?? '';
    }
  }
};

await serve({
  async generate(job, seen) {
    const stop = new AbortController();
    const streamed = { ...request(job), config: { abortSignal: stop.signal } };
    await seen.take(await client(job).models.generateContentStream(streamed), job, chunk => keep(seen, chunk));
    stop.abort(); // without it an abandoned stream stays open
  },
  async generate_whole(job, seen) {
    keep(seen, await client(job).models.generateContent(request(job)));
  },
  async models(job, seen) {
    for await (const model of await client(job).models.list()) seen.chunks.push(model);
  },
});
