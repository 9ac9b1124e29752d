// Runs of the relay, as docs/RELAY.md describes them.
import { json, request } from './request';
import type { Run } from './types';

/** `GET /runs/ID`: the run, and what it has said. */
export interface WholeRun extends Run {
  text: string;
  reasoning: string;
  tool_calls: { index: number; id: string | null; name: string | null; arguments: string }[];
  /** A part of what it said is no longer kept. */
  gap?: boolean;
}

export interface RunsPage {
  runs: Run[];
  next: string | null;
}

export interface RunFilter {
  topic?: string;
  status?: string;
  after?: string;
  limit?: number;
}

export interface Begun {
  run: string;
  topic: string;
}

export interface BeginRun {
  provider: string;
  topic?: string;
  path?: string;
  request: unknown;
}

export const runPath = (id: string): string => 'runs/' + encodeURIComponent(id);

export async function listRuns(filter: RunFilter, signal: AbortSignal): Promise<RunsPage> {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(filter)) if (value) query.set(key, String(value));
  return await json<RunsPage>('runs', { query, signal });
}

export const getRun = (id: string, signal: AbortSignal): Promise<WholeRun> => json<WholeRun>(runPath(id), { signal });

/** Begins a run. With the same key again, it is the same run: the provider is not asked twice. */
export const beginRun = (body: BeginRun, key: string): Promise<Begun> =>
  json<Begun>('runs', { method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json', 'Idempotency-Key': key } });

/** `drain`: its viewers' streams end, and the provider is read on for its token counts. */
export async function stopRun(id: string, drain = false): Promise<void> {
  await request(runPath(id) + '/stop', { method: 'POST', ...(drain ? { query: new URLSearchParams({ mode: 'drain' }) } : {}) });
}

export async function deleteRun(id: string): Promise<void> {
  await request(runPath(id), { method: 'DELETE' });
}

/** Where each dialect lists its models, and the field of their names. */
const MODELS: Record<string, string> = { openai: 'v1/models', anthropic: 'v1/models', gemini: 'v1beta/models', ollama: 'api/tags' };

/** Names of a provider's models, as it lists them; empty when it does not. */
export async function listModels(provider: string, dialect: string, signal: AbortSignal): Promise<string[]> {
  const path = MODELS[dialect];
  if (!path) return [];
  try {
    const listed = await json<Record<string, unknown>>(`relay/${encodeURIComponent(provider)}/${path}`, { signal });
    const entries = [listed.data, listed.models].find(Array.isArray) as Record<string, unknown>[] | undefined;
    const names = (entries ?? []).map((entry) => entry?.id ?? entry?.name);
    return names.filter((name) => typeof name === 'string').map((name) => name.replace(/^models\//, ''));
  } catch {
    return [];
  }
}
