// Events for the tests of this folder.
import { arrived } from './entry';

export const sample = (seq: number, data = `data ${seq}`, event = 'message') =>
  arrived({ topic: 'story', id: `abcd-${seq}`, time: '2026-11-26T20:00:00.000Z', event, data }, false);

export const samples = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => sample(from + at));
