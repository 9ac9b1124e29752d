import { expect, it } from 'vitest';
import { covers, isPattern, matches } from './pattern';

const PARTS = ['a', 'b', '*', '**'];
/** Every pattern of up to three segments over two names; `**` only at the end. */
const PATTERNS = [1, 2, 3].flatMap((length) => words(length)).filter((words) => words.slice(0, -1).every((word) => word !== '**'));
const TOPICS = [1, 2, 3, 4].flatMap((length) => words(length)).filter((words) => words.every((word) => word.length === 1 && word !== '*'));

function words(length: number): string[][] {
  return length === 0 ? [[]] : words(length - 1).flatMap((before) => PARTS.map((part) => [...before, part]));
}

it('matches topics as the protocol says', () => {
  const shown = (pattern: string, ...topics: string[]) => topics.map((topic) => matches(pattern, topic));
  expect(shown('jobs/*/tokens', 'jobs/42/tokens', 'jobs/tokens', 'jobs/4/2/tokens')).toEqual([true, false, false]);
  expect(shown('jobs/**', 'jobs/42', 'jobs/4/2', 'jobs', 'job/4')).toEqual([true, true, false, false]);
  expect(shown('**', 'a', 'a/b')).toEqual([true, true]);
});

it('covers a filter exactly when it matches all that the filter matches', () => {
  for (const wide of PATTERNS.map((words) => words.join('/'))) {
    for (const narrow of PATTERNS.map((words) => words.join('/'))) {
      const all = TOPICS.map((words) => words.join('/')).filter((topic) => matches(narrow, topic));
      // Two names are not all names: a pattern with a name never covers a star.
      const names = narrow.split('/').some((part, at) => part.startsWith('*') && ['a', 'b'].includes(wide.split('/')[at] ?? ''));
      expect(covers(wide, narrow), `${wide} covers ${narrow}`).toBe(!names && all.every((topic) => matches(wide, topic)));
    }
  }
});

it('tells a pattern from a topic', () => {
  expect(['a/*', '**', 'a/b', 'a*'].map(isPattern)).toEqual([true, true, false, false]);
});
