import { bodyOf } from './body.js';
import { type HubProblem, problemOf } from './problem.js';

/** Largest body that is taken for a problem, in bytes: one has a few hundred, a proxy's page may have any. */
const MAX_PROBLEM = 65_536;

/**
 * A bearer token, or a function that gets one. It is called for the first request, and again after a 401. When it throws
 * a NetworkError it is called again later; anything else that it throws ends the call.
 */
export type Token = string | (() => string | Promise<string>);

/** What every request to the hub may need. */
export interface HubOptions {
  token?: Token | undefined;
  /** In place of the global `fetch`: for cookies of another site, proxies, tests. */
  fetch?: typeof fetch | undefined;
  /** Aborting it ends everything at once, with its reason. */
  signal?: AbortSignal | undefined;
}

/** A failure of the network: no answer, or half of one. It is retried; a subscription tells it to `onStatus`. */
export class NetworkError extends Error {
  override readonly name = 'NetworkError';
}

/** The caller did not permit another request. */
export class TooLate extends Error {}

/** Sends requests to one hub with one credential. */
export class Hub {
  readonly #base: string;
  readonly #options: HubOptions;
  /** The token in use: kept, because a function for it may ask a server. */
  #token: string | undefined;

  constructor(url: string | URL, options: HubOptions) {
    this.#base = String(url).replace(/\/+$/, '');
    checkAddress(this.#base);
    this.#options = options;
  }

  /**
   * Sends a request; a 401 is answered once by a new token, where a function can get one. The result is a success (2xx).
   * `mayAsk` is called directly before each request, when the token is there, and may forbid it. Throws a HubProblem for
   * any other answer, a NetworkError without one, and the reason of an abort.
   */
  async send(path: string, init: RequestInit, attempt: Attempt, mayAsk = () => true): Promise<Response> {
    await this.#authorize(attempt);
    if (!mayAsk()) throw new TooLate();
    let response = await this.#request(path, init, attempt);
    if (response.status === 401 && typeof this.#options.token === 'function') {
      this.#token = undefined;
      await this.#authorize(attempt);
      if (mayAsk()) {
        await response.body?.cancel().catch(() => {});
        response = await this.#request(path, init, attempt);
      }
    }
    if (response.ok) return response;
    // The next attempt asks for another.
    if (response.status === 401) this.#token = undefined;
    throw await this.#problem(response, attempt);
  }

  /** Sees to it that there is a token, if there is one at all. */
  async #authorize(attempt: Attempt): Promise<void> {
    const { token } = this.#options;
    attempt.sent = false;
    if (token === undefined) return;
    this.#token ??= typeof token === 'function' ? await attempt.bounded(Promise.resolve(token())) : token;
  }

  async #request(path: string, init: RequestInit, attempt: Attempt): Promise<Response> {
    const { fetch = globalThis.fetch } = this.#options;
    const headers = new Headers(init.headers);
    if (this.#token !== undefined) headers.set('authorization', `Bearer ${this.#token}`);
    attempt.sent = true;
    const { signal } = attempt;
    return attempt.network(() => fetch(this.#base + path, { ...init, headers, redirect: 'manual', signal }));
  }

  async #problem(response: Response, attempt: Attempt): Promise<HubProblem> {
    try {
      return problemOf(response, await attempt.network(() => bodyOf(response, MAX_PROBLEM)));
    } catch (error) {
      if (!(error instanceof NetworkError)) throw error;
      return problemOf(response, null);
    }
  }
}

/** A wrong address is an error of the caller, and must not look like a network that fails. */
function checkAddress(base: string): void {
  const { protocol, username, password } = new URL(`${base}/`, globalThis.location?.href);
  const wrong = !/^https?:$/.test(protocol)
    ? 'its scheme is not http or https'
    : username || password
      ? 'it has credentials: give them as the token'
      : /[?#]/.test(base) && 'it has a query or a fragment';
  if (wrong) throw new TypeError(`not the address of a hub: ${wrong}`);
}

/** One attempt at a request. It ends by the caller's signal, by its time limit, or by `end`; its connection with it. */
export class Attempt {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #abort = () => this.#controller.abort(this.#outer?.reason);
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Its last request is on its way, or was: not so while a token is asked for. */
  sent = false;

  constructor(outer: AbortSignal | undefined) {
    outer?.throwIfAborted();
    this.#outer = outer;
    outer?.addEventListener('abort', this.#abort);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** From now on the attempt may take this many milliseconds; null: any time. */
  limit(ms: number | null): void {
    clearTimeout(this.#timer);
    if (ms === null) return;
    this.#timer = setTimeout(() => this.end(`nothing came for ${Math.round(ms / 1000)} s`), ms);
  }

  end(why = 'it is over'): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener('abort', this.#abort);
    this.#controller.abort(new NetworkError(why));
  }

  /** Waits for the network. All that goes wrong there is a NetworkError, except the caller's abort. */
  async network<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await this.bounded(work());
    } catch (error) {
      this.#outer?.throwIfAborted();
      if (error instanceof NetworkError) throw error;
      throw new NetworkError(error instanceof Error ? error.message : String(error), { cause: error });
    }
  }

  /** Waits until the attempt ends at most, also for a `fetch` or a function that does not know of aborts. */
  bounded<T>(work: Promise<T>): Promise<T> {
    return bounded(work, this.signal);
  }
}

/** Waits until an abort at most, whose reason it throws. */
export function bounded<T>(work: T | Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort);
    Promise.resolve(work)
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', abort));
  });
}
