import { expect, test } from 'vitest';
import { endingWords } from './words';

test('how a run ended is said once', () => {
  expect(endingWords({ status: 'stopped', by: null, error: 'stopped' })).toBe('Stopped');
  expect(endingWords({ status: 'stopped', by: 'ann', error: 'stopped' })).toBe('Stopped by ann');
  expect(endingWords({ status: 'failed', by: null, error: 'the model is overloaded' })).toBe('Failed: the model is overloaded');
  expect(endingWords({ status: 'completed', by: null, error: 'none' })).toBe('Completed');
});
