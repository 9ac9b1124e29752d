// The page of a run, as the tests read it.
import type { Tab } from './browser';

export const words = (many: number) => Array.from({ length: many }, (_, at) => `w${at} `);
export const said = (many: number) => words(many).join('').trim();

/** Asks in the playground, and waits for the run's page. */
export async function ask({ page }: Tab, prompt: string, provider = 'local'): Promise<string> {
  await page.getByRole('combobox', { name: 'Provider' }).selectOption(provider);
  await page.getByRole('textbox', { name: 'Prompt' }).fill(prompt);
  const before = page.url();
  await page.getByRole('button', { name: 'Ask' }).click();
  await page.waitForURL((url) => url.href !== before && /#\/runs\/run_/.test(url.hash));
  return page.url().split('#/runs/')[1]!;
}

export const answer = ({ page }: Tab) => page.getByRole('group', { name: /^Answer/ });
export const text = async (tab: Tab) => ((await answer(tab).textContent()) ?? '').trim();
export const badge = ({ page }: Tab) => page.getByRole('article', { name: 'Run' }).getByRole('status');
