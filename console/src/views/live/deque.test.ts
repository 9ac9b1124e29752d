import { expect, test } from 'vitest';
import { Deque } from './deque';

test('is an array at both ends', () => {
  const deque = new Deque<number>();
  const array: number[] = [];
  let next = 0;
  // Any order of operations, repeatable.
  let seed = 7;
  const random = (below: number) => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % below;
  for (let step = 0; step < 5000; step++) {
    const act = random(10);
    if (act < 5) {
      deque.push(next);
      array.push(next++);
    } else if (act < 9) expect(deque.shift()).toBe(array.shift());
    else if (random(50) === 0) {
      const before = [next++, next++];
      deque.unshift(before);
      array.unshift(...before);
    }
    expect(deque.length).toBe(array.length);
    const at = random(array.length + 2) - 1;
    expect(deque.at(at)).toBe(array.at(at));
  }
  expect([...deque]).toEqual(array);
});

test('finds the first one after', () => {
  const deque = new Deque<number>();
  for (let at = 0; at < 100; at++) deque.push(at * 2);
  for (let gone = 0; gone < 10; gone++) deque.shift();
  expect(deque.search((item) => item >= 50)).toBe(15);
  expect(deque.search((item) => item >= 51)).toBe(16);
  expect(deque.search(() => false)).toBe(90);
});

test('what has left at the front needs no room', () => {
  const deque = new Deque<number>();
  for (let at = 0; at < 100_000; at++) {
    deque.push(at);
    if (at >= 10) deque.shift();
  }
  expect(deque.length).toBe(10);
  expect(deque['items'].length).toBeLessThan(5000);
});
