// The display by kind, as the tests read it.
import type { Tab } from './browser';
import type { Hub } from './hub';

export const watching = (hub: Hub, topic: string, more = '&view=kinds') => `${hub.address}#/live?topic=${encodeURIComponent(topic)}&from=earliest${more}`;
export const card = ({ page }: Tab, topic: string) => page.getByRole('article', { name: topic, exact: true });
export const toasts = ({ page }: Tab) => page.locator('.toast');

/** 1 by 1, red. */
export const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';

/** A tone of a tenth of a second, as a WAV file in base64. */
export function wav(): string {
  const samples = 800;
  const file = Buffer.alloc(44 + samples);
  file.write('RIFF', 0);
  file.writeUInt32LE(36 + samples, 4);
  file.write('WAVEfmt ', 8);
  for (const [at, value] of [[16, 16], [24, 8000], [28, 8000], [40, samples]] as const) file.writeUInt32LE(value, at);
  for (const [at, value] of [[20, 1], [22, 1], [32, 1], [34, 8]] as const) file.writeUInt16LE(value, at);
  file.write('data', 36);
  for (let at = 0; at < samples; at++) file[44 + at] = 128 + 60 * Math.sin(at / 3);
  return file.toString('base64');
}
