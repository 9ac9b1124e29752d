/** An answer that is an error: RFC 9457 as the hub sends it, or whatever else came from a server in between. */
export class HubProblem extends Error {
  override readonly name = 'HubProblem';
  readonly status: number;
  /** Stable, as `topic-closed`; null if the answer is not the hub's. */
  readonly code: string | null;
  readonly type: string | null;
  readonly title: string;
  /** For people: what is wrong and what to change. */
  readonly detail: string;
  /** Under which the hub's operator finds the request in the log. */
  readonly requestId: string | null;
  /** With `precondition-failed`: the topic's last id, null for none. */
  readonly lastId: string | null;
  /** What the hub asked to wait, in milliseconds. */
  readonly retryAfter: number;

  constructor(status: number, members: Record<string, unknown>, retryAfter = 0) {
    const text = (name: string) => (typeof members[name] === 'string' ? members[name] : null);
    const title = text('title') ?? `HTTP status ${status}`;
    const detail = text('detail') ?? '';
    super(detail ? `${title}: ${detail}` : title);
    this.status = status;
    this.code = text('code');
    this.type = text('type');
    this.title = title;
    this.detail = detail;
    this.requestId = text('request_id');
    this.lastId = text('last_id');
    this.retryAfter = retryAfter;
  }

  /** Whether the same request may succeed later. */
  get temporary(): boolean {
    // 501: the request itself is not understood.
    return [408, 425, 429].includes(this.status) || (this.status >= 500 && this.status !== 501);
  }
}

/**
 * A publish ended without a receipt: it may have been published, or not. The same request with the same `key` tells, as
 * long as the hub remembers the key. What a stream sent is not the caller's to repeat: read the topic's end.
 */
export class PublishUncertain extends Error {
  override readonly name = 'PublishUncertain';
  readonly key: string;

  constructor(key: string, cause: unknown, from: 'call' | 'stream' = 'call') {
    const advice =
      from === 'call'
        ? `it is safe to send it again with the key ${key}`
        : 'the last events of the topic tell how far the stream came';
    super(`a publish may have been published, or not; ${advice}`, { cause });
    this.key = key;
  }
}

/** The problem that an answer without success is; its body is null if it is unknown or too large for one. */
export function problemOf({ status, headers, type }: Response, body: string | null): HubProblem {
  let members: Record<string, unknown> = {};
  // A browser hides the status of a redirect: it is 0.
  if (type === 'opaqueredirect' || (status >= 300 && status < 400)) members = redirect(headers.get('location'));
  try {
    const json = JSON.parse(body ?? '');
    if (json && typeof json === 'object') members = json;
  } catch {
    // Not the hub's, or cut short: the status says enough.
  }
  return new HubProblem(status, members, retryAfter(headers.get('retry-after')));
}

/** None is followed: a `fetch` makes a GET of a redirected POST, and another server would get the token. */
function redirect(location: string | null): Record<string, unknown> {
  const detail = `give the address that it leads to${location ? `: ${location}` : ''}`;
  return { title: 'The answer is a redirect', detail };
}

/** A success of something else than a hub, such as the page of a network's login. A retry would get the same. */
export function foreign(detail: string): HubProblem {
  return new HubProblem(200, { title: 'This is not the answer of a hub', detail });
}

/** `Retry-After` in milliseconds: seconds, or a date, as proxies may send it. */
function retryAfter(header: string | null): number {
  if (!header) return 0;
  const wait = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return wait > 0 ? wait : 0;
}
