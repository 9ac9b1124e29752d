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

/**
 * Sends a request with the token.
 * @param path relative to the hub, without a leading slash
 * @throws HubError when the response is not OK, or there is none; the caller's own AbortError
 */
export async function request(path: string, { query, ...init }: RequestInit & { query?: URLSearchParams } = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url(path, query), { ...init, headers: { ...authorization(), ...init.headers }, cache: 'no-store' });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    answers(false);
    throw new HubError(0, '', 'The hub cannot be reached. It may be restarting, or this computer is offline.');
  }
  answers(true);
  noteDate(response.headers.get('date'));
  if (response.ok) return response;
  const refusal = await problem(response);
  if (response.status === 401) tokenWanted.value = refusal.detail;
  throw refusal;
}

/** [`request`] with `Accept: application/json`; the body as JSON. */
export async function json<T>(path: string, init: RequestInit & { query?: URLSearchParams } = {}): Promise<T> {
  const response = await request(path, { ...init, headers: { Accept: 'application/json', ...init.headers } });
  return (await response.json()) as T;
}
