// What the token in use may do, so that the page offers no more than that.
import { effect, signal } from '@preact/signals';
import { token } from './credential';
import { covers, grants } from './pattern';
import { HubError, json } from './request';
import type { Whoami } from './types';

export type Access =
  | { state: 'unknown' }
  | { state: 'known'; who: Whoami }
  | { state: 'failed'; error: HubError };

/** What the hub says of this page's caller. */
export const access = signal<Access>({ state: 'unknown' });

/** Delay before the hub is asked again after it could not be reached, in milliseconds. */
const RETRY = 3000;

let asking: AbortController | undefined;
let again: ReturnType<typeof setTimeout> | undefined;

/** Asks the hub again. */
export async function refreshAccess(): Promise<void> {
  asking?.abort();
  clearTimeout(again);
  const mine = (asking = new AbortController());
  try {
    const who = await json<Whoami>('whoami', { signal: mine.signal });
    if (mine === asking) access.value = { state: 'known', who };
  } catch (error) {
    if (mine !== asking || !(error instanceof HubError)) return;
    access.value = { state: 'failed', error };
    if (error.status === 0 || error.status >= 500) again = setTimeout(() => void refreshAccess(), RETRY);
  }
}

/** Asks now, and after each change of the token. */
export function followAccess(): void {
  effect(() => {
    token();
    void refreshAccess();
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

/** Whether a topic or pattern may be subscribed to; true while it is not known. */
export const maySubscribe = (filter: string): boolean => {
  const granted = who()?.subscribe;
  return granted === undefined || granted.some((pattern) => covers(pattern, filter));
};

/** The relay's providers that may be used; null where there is no relay. */
export const relayProviders = () => who()?.relay?.providers ?? null;
