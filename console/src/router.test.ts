import { expect, it } from 'vitest';
import { href, parse } from './router';

it('finds again what it has written', () => {
  for (const topic of ['jobs/42/tokens', 'a b', '100%', 'a?b#c', 'ünï/🎉', 'a%2Fb', '']) {
    const { view, rest, query } = parse(href('topics', topic, { from: 'last:5', text: 'a&b=c' }));
    expect([view, rest, query.get('from'), query.get('text')]).toEqual(['topics', topic, 'last:5', 'a&b=c']);
  }
});

it('takes the address of the first version of the page', () => {
  const { view, query } = parse('#topic=jobs/1&from=now');
  expect([view, query.get('topic'), query.get('from')]).toEqual(['live', 'jobs/1', 'now']);
});

it('has no view for an unknown name, and no exception for a malformed one', () => {
  expect(parse('').view).toBe(null);
  expect(parse('#/nothing').view).toBe(null);
  expect(parse('#/topics/%E0%A4%A').rest).toBe('%E0%A4%A');
});
