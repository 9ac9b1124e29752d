// Notifications as toasts and, if allowed, by the browser.
import { plural } from '../../format';
import { oneLine } from '../../text';
import { toast } from '../../ui/toasts';
import type { Told } from './model';
import { notifyDesktop } from './settings';

/** Priority from which a notification is shown as bad news. */
const HIGH = 4;
const MOST_TITLE = 120;
const MOST_TEXT = 300;
const cut = (text: string, most: number) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

export function tell({ notices, more }: Told): void {
  if (more) toast('info', plural(more, 'more notification'), 'They came at once; the list has the newest.');
  for (const { topic, notice } of notices) {
    const title = cut(oneLine(notice.title || topic), MOST_TITLE);
    const text = cut(oneLine(notice.message), MOST_TEXT);
    toast(notice.priority >= HIGH ? 'bad' : 'info', title, text);
    notifyDesktop(title, text, notice.id);
  }
}
