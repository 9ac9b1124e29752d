// The playground's form. It outlives the change between the list and a run.
import { signal } from '@preact/signals';
import { HubError } from '../../hub/request';
import { beginRun } from '../../hub/runs';
import { href, navigate } from '../../router';
import { type Question, runRequest } from './ask-request';
import { keepPrompt } from './prompts';

export const form = {
  provider: signal(''),
  /** The model typed for each provider. */
  models: signal<Record<string, string>>({}),
  prompt: signal(''),
  system: signal(''),
  topic: signal(''),
};

export const asking = signal(false);
export const refusal = signal<HubError | null>(null);

/** The last attempt whose outcome is unknown: sent again with its key, it is the same run. */
let unanswered: { body: string; key: string } | null = null;

function newKey(): string {
  // Not every hub is reached by HTTPS, so without randomUUID.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Begins a run, and shows it. */
export async function ask(question: Question): Promise<void> {
  if (asking.value) return;
  asking.value = true;
  refusal.value = null;
  const request = runRequest(question);
  const body = JSON.stringify(request);
  const attempt = unanswered?.body === body ? unanswered : { body, key: newKey() };
  unanswered = attempt;
  try {
    const { run } = await beginRun(request, attempt.key);
    unanswered = null;
    keepPrompt(run, question.prompt);
    navigate(href('runs', run));
  } catch (error) {
    if (!(error instanceof HubError)) throw error;
    refusal.value = error;
  } finally {
    asking.value = false;
  }
}
