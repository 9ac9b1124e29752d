// What the token in use may do, so that the page offers no more than that.
import { effect, signal } from '@preact/signals';
import { hubNow } from './clock';
import { token } from './credential';
import { covers, exampleOf, grants } from './pattern';
import { HubError, json, returns, tokenWanted } from './request';
import type { Whoami } from './types';

export type Access =
  | { state: 'unknown' }
  | { state: 'known'; who: Whoami }
  | { state: 'failed'; error: HubError };

/** What the hub says of this page's caller. */
export const access = signal<Access>({ state: 'unknown' });

/** Delay before the hub is asked again after it could not be reached, in milliseconds. */
const RETRY = 3000;
/** Shortest and longest time to the question whether an expired token still holds, in milliseconds: this computer's clock may be
 * wrong in either direction, and a timer of more than 24 days would fire at once. */
const EXPIRY_SOONEST = 1000;
const EXPIRY_LATEST = 24 * 3600 * 1000;

let asking: AbortController | undefined;
let again: ReturnType<typeof setTimeout> | undefined;

/** Asks the hub again. `keep`: what is known stays until the hub says something else. */
export async function refreshAccess({ keep = false } = {}): Promise<void> {
  asking?.abort();
  clearTimeout(again);
  const mine = (asking = new AbortController());
  const ask = (delay: number) => (again = setTimeout(() => void refreshAccess({ keep: true }), delay));
  try {
    const who = await json<Whoami>('whoami', { signal: mine.signal });
    if (mine !== asking) return;
    access.value = { state: 'known', who };
    if (who.expires) ask(Math.min(Math.max(Date.parse(who.expires) - hubNow(), EXPIRY_SOONEST) + EXPIRY_SOONEST, EXPIRY_LATEST));
  } catch (error) {
    if (mine !== asking || !(error instanceof HubError)) return;
    if (!keep || error.needsToken || access.peek().state !== 'known') access.value = { state: 'failed', error };
    if (error.status === 0 || error.status >= 500) ask(RETRY);
  }
}

/** Asks now, after each change of the token, when the token is refused, and when the hub is back: it may have other settings. */
export function followAccess(): void {
  effect(() => {
    token();
    void refreshAccess();
  });
  effect(() => {
    if (tokenWanted.value !== null && token() !== null) void refreshAccess({ keep: true });
  });
  effect(() => {
    if (returns.value > 0) void refreshAccess({ keep: true });
  });
}

const who = (): Whoami | null => (access.value.state === 'known' ? access.value.who : null);

/** Whether the hub's figures and streams can be read here. */
export const mayOperate = (): boolean => !!who()?.admin && !!who()?.operators_here;

/** Whether topics can be configured, and events and topics be deleted. */
export const mayAdmin = (): boolean => !!who()?.admin;

/** Whether the topic may be published to; true while it is not known, because the hub decides. */
export const mayPublish = (topic: string): boolean => grants(who()?.publish, topic);

/** Whether some topic may be published to. */
export const mayPublishSomewhere = (): boolean => who() === null || who()!.publish.length > 0;

/** Whether something may be subscribed to. */
export const maySubscribeSomewhere = (): boolean => who() === null || who()!.subscribe.length > 0;

/** A topic for a first try, which may be published to where that is so for any. */
export const topicToTry = (): string => (mayPublish('demo') || !mayPublishSomewhere() ? 'demo' : exampleOf(who()!.publish[0]!));

/** Whether a topic or pattern may be subscribed to; true while it is not known. */
export const maySubscribe = (filter: string): boolean => {
  const granted = who()?.subscribe;
  return granted === undefined || granted.some((pattern) => covers(pattern, filter));
};

/** The relay's providers that may be used; null where there is no relay. */
export const relayProviders = () => who()?.relay?.providers ?? null;
