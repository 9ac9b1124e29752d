import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, it } from 'vitest';
import { HELP, type Help, helpForCode, helpHref } from './help';

const text = (document: string) => readFileSync(resolve(import.meta.dirname, `../../../../docs/${document}.md`), 'utf8');

/** The anchors of a document's headings, as GitHub and the hub make them. */
const anchors = (document: Help['document']) =>
  text(document)
    .split('\n')
    .filter((line) => /^#{1,6} /.test(line))
    .map((line) => line.replace(/^#+ /, '').toLowerCase().replace(/[^\p{L}\p{N}\p{M} _-]/gu, '').replaceAll(' ', '-'));

it('leads to paragraphs that exist', () => {
  for (const help of Object.values(HELP)) expect(anchors(help.document), helpHref(help)).toContain(help.anchor);
});

it('leads somewhere for each code that a refusal may have', () => {
  const codes = [...text('PROTOCOL').matchAll(/^\| \[`([a-z-]+)`\]\(#/gm)].map(([, code]) => code!);
  expect(codes.length).toBeGreaterThan(30);
  for (const code of codes) {
    const help = helpForCode(code);
    expect(anchors(help.document), code).toContain(help.anchor);
  }
});

it('is relative to the page, which a proxy may serve below a path', () => {
  expect(helpHref(HELP.storageFull)).toBe('docs/OPERATIONS.md#storage-full');
});
