import { expect, test } from 'vitest';
import type { Topic } from '../../hub/types';
import { fieldsOf, readFields } from './fields';

const topic = { retention: { max_events: 1000, max_age: '90m', max_bytes: 10 * 1024 ** 2 }, retry: null } as Topic;
const fields = fieldsOf(topic);

test('what is in force is shown, and is no change', () => {
  expect(fields).toEqual({ max_events: '1000', max_age: '90m', max_bytes: '10 MiB', retry: '' });
  expect(readFields(fields, topic)).toEqual({ settings: {}, wrong: {} });
});

test('only what changed is sent; an emptied field returns to the rule', () => {
  expect(readFields({ ...fields, max_events: '2,000', max_age: '' }, topic).settings).toEqual({ retention: { max_events: 2000, max_age: null } });
  expect(readFields({ ...fields, max_bytes: '1k', retry: '500' }, topic).settings).toEqual({ retention: { max_bytes: 1024 }, retry: 500 });
});

test('a wrong field is named, and nothing is sent', () => {
  const { settings, wrong } = readFields({ max_events: '0', max_age: '1d', max_bytes: 'much', retry: '-1' }, topic);
  expect(settings).toBeNull();
  expect(Object.keys(wrong)).toEqual(['max_events', 'max_bytes', 'retry']);
});
