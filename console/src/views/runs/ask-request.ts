// The request for an answer, in each provider's own words.
import type { BeginRun } from '../../hub/runs';

export interface Question {
  provider: string;
  dialect: string;
  model: string;
  prompt: string;
  system: string;
  topic: string;
}

/** Most tokens of an answer, which Anthropic wants to be told. */
const MAX_TOKENS = 4096;

/** The model to begin with, where none is known. */
export const USUAL_MODELS: Record<string, string> = { openai: 'gpt-5-mini', anthropic: 'claude-sonnet-4-5', gemini: 'gemini-2.5-flash', ollama: 'llama3.2' };

export function runRequest({ provider, dialect, model, prompt, system, topic }: Question): BeginRun {
  const run = { provider, ...(topic ? { topic } : {}) };
  const user = { role: 'user', content: prompt };
  const messages = system ? [{ role: 'system', content: system }, user] : [user];
  switch (dialect) {
    case 'anthropic':
      return { ...run, request: { model, max_tokens: MAX_TOKENS, ...(system ? { system } : {}), messages: [user] } };
    case 'gemini':
      // The model is in the path.
      return {
        ...run,
        path: `/v1beta/models/${encodeURIComponent(model)}:streamGenerateContent`,
        request: {
          contents: [{ role: 'user', parts: [{ text: prompt }] }],
          ...(system ? { systemInstruction: { parts: [{ text: system }] } } : {}),
        },
      };
    case 'ollama':
      return { ...run, request: { model, messages } };
    default:
      return { ...run, request: { model, messages, stream_options: { include_usage: true } } };
  }
}

/** Patterns of the models that may be asked for at a provider: those of the hub, and those of the token's grant. */
export function modelPatterns(provider: { name: string; models: string[] }, grants: string[]): string[] {
  const granted = grants.filter((grant) => grant.startsWith(provider.name + '/')).map((grant) => grant.slice(provider.name.length + 1));
  const all = grants.some((grant) => grant === provider.name || grant === '*') || !granted.length;
  const patterns = all ? provider.models : granted;
  return patterns.filter((pattern) => pattern !== '*');
}

const matches = (pattern: string, model: string): boolean =>
  new RegExp(`^${pattern.split('*').map((part) => part.replace(/[^\w]/g, '\\$&')).join('.*')}$`).test(model);

/** The model to begin with: one that is named, or the usual one where it is allowed; empty when the person has to know one. */
export function firstModel(dialect: string, patterns: string[]): string {
  const usual = USUAL_MODELS[dialect] ?? '';
  if (!patterns.length) return usual;
  return patterns.find((pattern) => !pattern.includes('*')) ?? (patterns.some((pattern) => matches(pattern, usual)) ? usual : '');
}
