// Chromium with pages of the console. What a page throws, or what its Content-Security-Policy refuses, fails the test.
import { readFileSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { extname, join, resolve } from 'node:path';
import { type Browser, type BrowserContext, type BrowserContextOptions, type Page, chromium } from 'playwright-core';
import { expect } from 'vitest';
import { PATIENCE } from './hub';

/** Serves the console from this directory instead of from the binary: for work on the console without a Rust build. */
const DIST = process.env.GAPLESS_CONSOLE_DIST;
const TYPES: Record<string, string> = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
/** As `POLICY` in src/http/api/console/mod.rs. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; media-src data: blob:; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

export const WIDE = { width: 1440, height: 900 };
export const NARROW = { width: 390, height: 844 };

export class Chromium {
  private constructor(private readonly browser: Browser) {}

  static async launch(): Promise<Chromium> {
    return new Chromium(
      await chromium.launch({
        executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
        args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
          '--disable-component-update', '--disable-sync', '--enable-precise-memory-info'],
      }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.browser.close();
  }

  /** A new tab, with nothing stored, at this address. */
  async open(address: string, options: BrowserContextOptions = {}): Promise<Tab> {
    const context = await this.browser.newContext({ viewport: WIDE, ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    const tab = new Tab(page, context);
    if (DIST) await serveFrom(DIST, context, address);
    await page.goto(address);
    return tab;
  }
}

export class Tab {
  private wrongs: string[] = [];

  constructor(
    readonly page: Page,
    readonly context: BrowserContext,
  ) {
    page.on('pageerror', (error) => this.wrongs.push(String(error.stack ?? error)));
    page.on('console', (message) => {
      if (/Content Security Policy|Trusted Type/.test(message.text())) this.wrongs.push(message.text());
    });
  }

  /** Goes to a view without a reload, as a link does. */
  async go(fragment: string): Promise<void> {
    await this.page.evaluate((to) => (location.hash = to), fragment);
  }

  /** Fails when the page threw, or tried what its policy forbids. */
  check(): void {
    expect(this.wrongs).toEqual([]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.context.close();
    this.check();
  }

  /** What axe finds in the page: rule, help and the elements. */
  async axe(): Promise<unknown[]> {
    const source = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
    const session = await this.context.newCDPSession(this.page);
    // By the debugger, which no Content-Security-Policy concerns.
    await session.send('Runtime.evaluate', { expression: source });
    const { result } = await session.send('Runtime.evaluate', {
      expression: `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, help, nodes }) =>
        ({ id, help, nodes: nodes.map(({ html, failureSummary }) => html.slice(0, 200) + ' — ' + failureSummary) })))`,
      awaitPromise: true,
      returnByValue: true,
    });
    await session.detach();
    return result.value as unknown[];
  }

  /** What makes the page wider than the window; empty when it fits. */
  async spills(): Promise<string[]> {
    return await this.page.evaluate(() => {
      if (document.documentElement.scrollWidth <= innerWidth) return [];
      const wide = [...document.querySelectorAll('main *, header *')].filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5);
      return ['the page', ...wide.map((element) => element.outerHTML.slice(0, 160))];
    });
  }
}

async function serveFrom(dist: string, context: BrowserContext, address: string) {
  const base = new URL('.', address.split('#')[0]).pathname;
  const root = realpathSync(resolve(dist));
  await context.route(
    (url) => url.pathname === base || url.pathname.startsWith(base + 'console/'),
    async (route) => {
      const path = new URL(route.request().url()).pathname.slice(base.length) || 'index.html';
      await route.fulfill({
        body: readFileSync(join(root, path)),
        headers: { 'content-type': TYPES[extname(path)]!, 'content-security-policy': POLICY },
      });
    },
  );
}
