// Builds and packs the package, installs the tarball into a project of its own, type-checks the tests there as its
// consumer, and runs them against the real hub. Arguments: names of tests, as `vectors`.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const consumer = join(root, '.consumer');
const run = (command, args, cwd = root) =>
  execFileSync(command, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'] });

const binary = resolve(root, process.env.GAPLESS_BIN || '../../target/debug/gapless');
if (!existsSync(binary)) throw new Error(`no hub at ${binary}: cargo build, or GAPLESS_BIN`);

rmSync(consumer, { recursive: true, force: true });
mkdirSync(join(consumer, 'src'), { recursive: true });
run('node', ['build.mjs']);
const [{ filename }] = JSON.parse(
  execFileSync('npm', ['pack', '--json', '--pack-destination', consumer], { cwd: root }),
);

const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const project = { private: true, type: 'module', dependencies: { ...dependencies, gapless: `file:${filename}` } };
writeFileSync(join(consumer, 'package.json'), JSON.stringify(project));
run(
  'npm',
  ['install', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
  consumer,
);

for (const name of readdirSync(join(root, 'test'))) {
  if (/\.tsx?$/.test(name)) cpSync(join(root, 'test', name), join(consumer, 'src', name));
}
// The README's code, each block as a program of its own, with the address of the test's hub.
const readme = readFileSync(join(root, 'README.md'), 'utf8').matchAll(/^```(tsx?)\n([^]*?)^```$/gm);
for (const [index, [, language, code]] of [...readme].entries()) {
  const program = code.replaceAll("'https://hub.example'", "process.env['HUB_URL']!");
  writeFileSync(join(consumer, 'src', `readme-${index}.${language}`), program);
}
cpSync(join(root, 'test/tsconfig.consumer.json'), join(consumer, 'tsconfig.json'));
cpSync(join(root, 'test/types'), join(consumer, 'types'), { recursive: true });
for (const project of [consumer, join(consumer, 'types')]) run(join(root, 'node_modules/.bin/tsc'), ['-p', project]);

const known = readdirSync(join(consumer, 'out')).filter((name) => name.endsWith('.test.js'));
const named = process.argv.slice(2).map((name) => `${name}.test.js`);
for (const name of named) if (!known.includes(name)) throw new Error(`no test ${name}`);
const tests = (named.length > 0 ? named : known).map((name) => join(consumer, 'out', name));
const { status } = spawnSync(
  'node',
  ['--test', '--test-reporter=spec', '--test-concurrency=4', '--test-timeout=120000', ...tests],
  {
    cwd: consumer,
    stdio: 'inherit',
    env: {
      ...process.env,
      GAPLESS_BIN: binary,
      GAPLESS_VECTORS: resolve(root, '../vectors'),
    },
  },
);
process.exit(status ?? 1);
