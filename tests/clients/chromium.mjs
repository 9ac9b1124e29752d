// Headless Chromium by lines: each line on stdin is JavaScript, run with `page`; the line that answers is
// {"value": …} or {"error": "…"}. Arguments are Chromium's own, and `--bypass-csp`: pages without their policy.
import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ...process.argv.slice(2).filter(argument => argument !== '--bypass-csp')],
});
const page = await (await browser.newContext({ bypassCSP: process.argv.includes('--bypass-csp') })).newPage();
page.setDefaultTimeout(30_000);
// What the page throws or is refused is a failed test, told with the next answer.
const wrongs = [];
page.on('pageerror', error => wrongs.push(String(error)));
page.on('console', message => { if (/Content Security Policy/.test(message.text())) wrongs.push(message.text()); });

// A CommonJS module and what it requires beside it, as one script for a page.
const require = createRequire(import.meta.url);
const bundle = (name, global) => {
  const modules = {};
  const gather = path => {
    modules[path] ??= readFileSync(path, 'utf8').replace(/require\("(\.[^"]*)"\)/g, (_, near) => {
      const found = createRequire(path).resolve(near);
      gather(found);
      return `require(${JSON.stringify(found)})`;
    });
  };
  gather(require.resolve(name));
  const table = Object.entries(modules).map(([path, code]) => `${JSON.stringify(path)}:(exports,require)=>{${code}\n}`);
  return `(()=>{const all={${table}},made={},require=name=>{if(!made[name]){all[name](made[name]={},require)}return made[name]};
    window.${global}=require(${JSON.stringify(require.resolve(name))})})()`;
};

console.log(JSON.stringify({ value: 'ready' }));
const AsyncFunction = (async () => {}).constructor;
for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = { value: (await new AsyncFunction('page', 'bundle', JSON.parse(line))(page, bundle)) ?? null };
  } catch (error) {
    answer = { error: String(error) };
  }
  if (wrongs.length) answer = { error: 'the page: ' + wrongs.splice(0).join('; ') };
  console.log(JSON.stringify(answer));
}
await browser.close();
