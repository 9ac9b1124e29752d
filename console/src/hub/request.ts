import { signal } from '@preact/signals';
import { url } from './address';
import { noteDate } from './clock';
import { authorization } from './credential';

/** A refusal of the hub (RFC 9457), or of something before it. */
export class HubError extends Error {
  override name = 'HubError';
  constructor(
    /** 0 when there was no response. */
    readonly status: number,
    /** The code of the problem, as in docs/PROTOCOL.md; empty when the response is not one of the hub. */
    readonly code: string,
    /** A sentence for people. */
    readonly detail: string,
    /** Milliseconds to wait before the request is sent again, as the hub asks. */
    readonly retryAfter: number | null = null,
    /** The other members of the problem, such as `last_id`. */
    readonly members: Record<string, unknown> = {},
  ) {
    super(detail);
  }

  /** Whether another token may help. */
  get needsToken(): boolean {
    return this.status === 401 || this.status === 403;
  }
}

/** Why a token is asked for; null when none is. The token dialog shows it. */
export const tokenWanted = signal<string | null>(null);

/** How often the hub was back after it could not be reached, or a stream of it had broken. */
export const returns = signal(0);
let away = false;

/** Notes whether the hub answers. */
export function answers(now: boolean): void {
  if (now && away) returns.value += 1;
  away = !now;
}

/** The problem in a response that is not OK. */
export async function problem(response: Response): Promise<HubError> {
  const after = Number(response.headers.get('retry-after'));
  const retryAfter = Number.isFinite(after) && after > 0 ? after * 1000 : null;
  try {
    const body = (await response.json()) as Record<string, unknown>;
    if (typeof body.code === 'string' && typeof body.detail === 'string') {
      return new HubError(response.status, body.code, sentence(body.detail), retryAfter, body);
    }
  } catch {
    /* Not a problem of the hub. */
  }
  return new HubError(response.status, '', `Something between this page and the hub answered ${response.status}.`, retryAfter);
}

/** As a sentence, without the advice for scripts on headers: the token is typed in here. */
const sentence = (detail: string) => detail.replace(/; send '.*/, '').replace(/^./, (first) => first.toUpperCase()).replace(/[^.!?]$/, '$&.');

/** Longest wait for a response and its body, in milliseconds. The hub itself ends a search after 10 s and a long poll after 55 s. */
const PATIENCE = 60_000;
/** Added for each byte of a request's body, in milliseconds: half the rate that the hub asks for by default (`http.body_rate`). */
const PATIENCE_BYTE = 1 / 4;

export type HubRequest = RequestInit & {
  query?: URLSearchParams;
  /** Longest wait for the response and its body, in milliseconds. */
  patience?: number;
};

/**
 * Sends a request with the token, and reads the response.
 * @param path relative to the hub, without a leading slash
 * @param read reads the body
 * @throws HubError when the response is not OK, is not one that `read` can read, or does not come in time; the caller's own
 * AbortError
 */
async function exchange<T>(path: string, { query, patience, ...init }: HubRequest, read: (response: Response) => Promise<T>): Promise<T> {
  const limit = new AbortController();
  const length = typeof init.body === 'string' ? init.body.length : 0;
  const timer = setTimeout(() => limit.abort(), patience ?? PATIENCE + length * PATIENCE_BYTE);
  const stop = () => limit.abort();
  if (init.signal?.aborted) stop();
  init.signal?.addEventListener('abort', stop);
  try {
    const response = await fetch(url(path, query), {
      ...init,
      headers: { ...authorization(), ...init.headers },
      cache: 'no-store',
      signal: limit.signal,
    });
    answers(true);
    noteDate(response.headers.get('date'));
    if (response.ok) return await read(response);
    const refusal = await problem(response);
    if (response.status === 401) tokenWanted.value = refusal.detail;
    throw refusal;
  } catch (error) {
    if (error instanceof HubError || init.signal?.aborted) throw error;
    if (error instanceof SyntaxError) throw new HubError(0, '', 'What answered is not the hub: it sent something else than JSON.');
    answers(false);
    throw new HubError(
      0,
      '',
      limit.signal.aborted ? 'The hub does not answer.' : 'The hub cannot be reached. It may be restarting, or this computer is offline.',
    );
  } finally {
    clearTimeout(timer);
    init.signal?.removeEventListener('abort', stop);
  }
}

/** Sends a request whose response says all by its status. Throws as [`exchange`]. */
export async function request(path: string, init: HubRequest = {}): Promise<void> {
  await exchange(path, init, async (response) => void (await response.body?.cancel()));
}

/** Sends a request with `Accept: application/json`; the body as JSON, and the headers. Throws as [`exchange`]. */
export const jsonWithHeaders = <T>(path: string, init: HubRequest = {}): Promise<{ body: T; headers: Headers }> =>
  exchange(path, { ...init, headers: { Accept: 'application/json', ...init.headers } }, async (response) => ({
    body: (await response.json()) as T,
    headers: response.headers,
  }));

/** The body of [`jsonWithHeaders`]. */
export const json = async <T>(path: string, init: HubRequest = {}): Promise<T> => (await jsonWithHeaders<T>(path, init)).body;
