// Credentials of hubs that are not open.
import { createHash, createHmac } from 'node:crypto';
import type { Page } from 'playwright-core';

export interface Grant {
  publish?: string[];
  subscribe?: string[];
  admin?: boolean;
}

/** The value of `access.tokens`: `entries` has a name, its token and its grant. */
export function staticTokens(entries: [name: string, token: string, grant: Grant][]): string {
  const tables = entries.map(([name, token, { publish = [], subscribe = [], admin = false }]) => {
    const sha256 = createHash('sha256').update(token).digest('hex');
    return `{ name = "${name}", sha256 = "${sha256}", publish = ${JSON.stringify(publish)}, subscribe = ${JSON.stringify(subscribe)}, admin = ${admin} }`;
  });
  return `[${tables.join(', ')}]`;
}

const KEY = 'a-key-of-32-bytes-and-some-more-of-them';

/** The value of `access.issuers` for [`jwt`]. */
export const ISSUERS = `[{ issuer = "https://login.test", audience = "gapless", algorithms = ["HS256"], key = "${KEY}" }]`;

/** A JWT of ann that expires in so many seconds. */
export function jwt(seconds: number, gapless: Grant): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { iss: 'https://login.test', aud: 'gapless', sub: 'ann', exp: Math.floor(Date.now() / 1000) + seconds, gapless };
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', KEY).update(signed).digest('base64url')}`;
}

/** Gives a token to the dialog that is open, and closes it. */
export async function giveToken(page: Page, token: string): Promise<void> {
  const dialog = page.getByRole('dialog', { name: 'Token' });
  await dialog.getByLabel('Token').fill(token);
  await dialog.getByRole('button', { name: 'Use it' }).click();
  await dialog.getByRole('button', { name: 'Close' }).click();
}
