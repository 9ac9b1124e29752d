// What was asked in this tab. The hub keeps no prompts, so a run's page shows the question only here, also after a reload.

const KEY = 'gapless.prompts';
/** Questions kept, and UTF-16 units of each: a browser gives a tab some MiB. */
const MOST = 20;
const MOST_LENGTH = 20_000;

type Kept = [run: string, prompt: string][];

function kept(): Kept {
  try {
    const stored: unknown = JSON.parse(sessionStorage.getItem(KEY) ?? '[]');
    return Array.isArray(stored) ? (stored as Kept).filter((entry) => typeof entry?.[0] === 'string' && typeof entry[1] === 'string') : [];
  } catch {
    return [];
  }
}

export function keepPrompt(run: string, prompt: string): void {
  const all: Kept = [...kept().filter(([known]) => known !== run), [run, prompt.slice(0, MOST_LENGTH)]];
  try {
    sessionStorage.setItem(KEY, JSON.stringify(all.slice(-MOST)));
  } catch {
    /* It is shown until a reload. */
  }
}

/** The question of a run that was begun in this tab. */
export const promptOf = (run: string): string | null => kept().find(([known]) => known === run)?.[1] ?? null;
