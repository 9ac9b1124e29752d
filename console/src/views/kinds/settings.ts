// How the displays are drawn, and whether notifications leave the page: a choice of this browser.
import { signal } from '@preact/signals';

const KEY = 'gapless.eink';

function stored(): boolean {
  try {
    return localStorage.getItem(KEY) === 'on';
  } catch {
    return false;
  }
}

/** Drawn for electronic paper: twice a second at most, black on white, without motion. */
export const eink = signal(stored());

export function setEink(on: boolean): void {
  eink.value = on;
  try {
    localStorage.setItem(KEY, on ? 'on' : 'off');
  } catch {
    /* Kept until a reload. */
  }
}

/** `ask`: the browser has not been asked. */
export type Desktop = 'unsupported' | 'ask' | 'on' | 'off' | 'denied';

const permission = (): Desktop => (typeof Notification === 'undefined' ? 'unsupported' : Notification.permission === 'denied' ? 'denied' : 'ask');

/** Whether notifications are shown by the browser, too. Never without a click in this page. */
export const desktop = signal<Desktop>(permission());

/** Asks the browser; it asks the person. */
export async function allowDesktop(): Promise<void> {
  try {
    desktop.value = { granted: 'on', denied: 'denied', default: 'ask' }[await Notification.requestPermission()] as Desktop;
  } catch {
    desktop.value = 'unsupported';
  }
}

export function stopDesktop(): void {
  desktop.value = 'ask';
}

/** Shows a notification by the browser, if that is on. */
export function notifyDesktop(title: string, body: string, tag: string): void {
  if (desktop.value !== 'on') return;
  try {
    new Notification(title, { body, tag });
  } catch {
    // A browser that has them for service workers only.
    desktop.value = 'unsupported';
  }
}
