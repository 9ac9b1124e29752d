// The token is kept for this tab only: not in the address, which people share, and not beyond the tab. In a browser without
// session storage it is kept until a reload.
import { signal } from '@preact/signals';

const KEY = 'gapless.token';

function stored(): string | null {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

const held = signal<string | null>(stored());

/** The token in use. */
export const token = () => held.value;

/** Uses `given` from now on; null forgets the token. */
export function setToken(given: string | null): void {
  held.value = given;
  try {
    if (given) sessionStorage.setItem(KEY, given);
    else sessionStorage.removeItem(KEY);
  } catch {
    /* Kept until a reload. */
  }
}

/** The header that carries the token. */
export const authorization = (): Record<string, string> => (held.value ? { Authorization: 'Bearer ' + held.value } : {});

/** What a curl command needs besides the request, with a space after it; empty without a token. The token itself is not shown. */
export const curlToken = (): string => (held.value ? '-H "Authorization: Bearer $GAPLESS_TOKEN" ' : '');
