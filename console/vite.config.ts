import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

/** Nothing is painted before the script has set the theme. Vite writes the tag anew and drops the attribute. */
const onePaint: Plugin = {
  name: 'one-paint',
  transformIndexHtml: {
    order: 'post',
    handler: (html) => html.replace('<script type="module" crossorigin', '<script type="module" blocking="render"').replaceAll(' crossorigin', ''),
  },
};

export default defineConfig({
  // Relative, because a proxy may serve the hub below a path of its own.
  base: './',
  plugins: [onePaint],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: 'dist',
    assetsDir: 'console',
    target: ['chrome111', 'firefox114', 'safari16.4'],
    modulePreload: false,
    // The hub's Content-Security-Policy permits no data: in styles.
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    rolldownOptions: {
      // Fixed names, which the hub includes at compile time. An ETag says whether a browser's copy is current.
      output: {
        entryFileNames: 'console/app.js',
        assetFileNames: 'console/[name][extname]',
        codeSplitting: false,
      },
    },
  },
  test: {
    projects: [
      { extends: true, test: { name: 'unit', include: ['src/**/*.test.{ts,tsx}'], environment: 'node' } },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['e2e/**/*.e2e.ts'],
          environment: 'node',
          // The hub and Chromium are slow to start on a busy machine.
          testTimeout: 90_000,
          hookTimeout: 90_000,
          maxWorkers: 2,
          // A second try tells a browser that started slowly from a broken promise.
          retry: 1,
          // As PATIENCE in e2e/support/hub.ts: the default is a second.
          expect: { poll: { timeout: 30_000 } },
        },
      },
      { extends: true, test: { name: 'screenshots', include: ['e2e/screenshots.ts'], environment: 'node' } },
    ],
  },
});
