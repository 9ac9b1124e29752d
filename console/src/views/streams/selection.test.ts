import { expect, it } from 'vitest';
import { parse } from '../../router';
import { address, fromAddress } from './selection';

it('is in the address, whatever its characters are', () => {
  const query = { sort: 'behind', holder: 'ann of https://login.example', topic: 'jobs/ä&b/**', after: 'behind.5.s0-7' } as const;
  expect(fromAddress(parse(address(query, { after: query.after })).query)).toEqual(query);
  expect(address(fromAddress(new URLSearchParams()), {})).toBe('#/streams');
});

it('begins at the first page when something else is asked for', () => {
  const query = fromAddress(new URLSearchParams('sort=behind&holder=ann&after=x'));
  expect(fromAddress(parse(address(query, { sort: 'since' })).query)).toEqual({ sort: 'since', holder: 'ann', topic: '', after: '' });
});

it('ignores an order that the hub does not know', () => {
  expect(fromAddress(new URLSearchParams('sort=name')).sort).toBe('since');
});
