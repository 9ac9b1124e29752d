// The programs of the README do what it says, and its figure of a size is true.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { HubProcess, PATIENCE } from './hub.js';

const hub = new HubProcess();
before(() => hub.start([]));
after(() => hub.remove());

const place = mkdtempSync(join(tmpdir(), 'gapless-readme-'));
after(() => rmSync(place, { recursive: true }));

/** Runs a block of the README, and answers the lines that it prints. */
async function run(index: number): Promise<string[]> {
  const program = fileURLToPath(new URL(`readme-${index}.js`, import.meta.url));
  const options = { cwd: place, timeout: PATIENCE, env: { ...process.env, HUB_URL: hub.url } };
  const { stdout } = await promisify(execFile)(process.execPath, [program], options);
  return stdout.trimEnd().split('\n');
}

test('the programs of the README', async () => {
  const [receipt = '', refused = ''] = await run(0);
  const [id] = receipt.split(' ');
  assert.match(receipt, /^[0-9a-z]+-1 20/);
  assert.equal(refused, `precondition-failed ${id}`);

  const items = (await run(1)).map((line) => line.replace(/[0-9a-z]+-\d+/, 'ID'));
  assert.deepEqual(items, [
    'jobs/7 ID progress {"done":1,"of":2}',
    'jobs/7 ID progress {"done":2,"of":2}',
    'no more events jobs/7 closed',
  ]);

  assert.deepEqual(await run(2), ['work on {"done":1,"of":2}', 'work on {"done":2,"of":2}']);
  assert.match(readFileSync(join(place, 'jobs.cursor'), 'utf8'), /^[0-9a-z]+-3$/);
  // A cursor that cannot be read or written is an error, not a start from the beginning.
  rmSync(join(place, 'jobs.cursor'));
  for (const name of ['jobs.cursor', 'jobs.cursor.new']) {
    mkdirSync(join(place, name));
    await assert.rejects(run(2), /EISDIR/);
    rmSync(join(place, name), { recursive: true });
  }

  await run(3);
  const path = '/events?topic=answers/42&from=earliest';
  const page = await (await hub.request('GET', path, undefined, undefined, 'application/json')).json();
  const { events, closed } = page as { events: { event: string; data: string }[]; closed: boolean };
  assert.equal(events.map(({ event, data }) => `${event}:${data}`).join(), 'token:Hel,token:lo,token:!,done:');
  assert.ok(closed);
});

test('the size of the browser build', () => {
  const file = fileURLToPath(import.meta.resolve('gapless/browser'));
  const readme = readFileSync(join(process.env['GAPLESS_VECTORS']!, '../js/README.md'), 'utf8');
  const said = Number(/It has (\d+) KiB gzipped/.exec(readme)?.[1]);
  assert.equal(Math.round(gzipSync(readFileSync(file)).length / 1024), said);
});
