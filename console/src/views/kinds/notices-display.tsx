import { clock, plural } from '../../format';
import { oneLine, visible } from '../../text';
import type { Bounded } from './bounded';
import type { Notice } from './topic-display';

const PRIORITIES = ['', 'Lowest', 'Low', '', 'High', 'Urgent'];
const TONES = ['', 'none', 'none', 'info', 'warn', 'bad'];

export function NoticesDisplay({ notices }: { notices: Bounded<Notice>; drawn: number }) {
  if (!notices.length) return null;
  return (
    <div class="kind-notices">
      <ul>
        {[...notices].reverse().map((notice) => (
          <li key={notice.id} data-tone={TONES[notice.priority]}>
            <time class="muted" datetime={notice.time}>
              {clock(new Date(notice.time)).slice(0, 8)}
            </time>
            <div>
              {(notice.title || PRIORITIES[notice.priority]) && (
                <p>
                  {notice.title && <strong class="foreign">{oneLine(notice.title)}</strong>}{' '}
                  {PRIORITIES[notice.priority] && <span class="badge">{PRIORITIES[notice.priority]}</span>}
                </p>
              )}
              <p class="foreign kind-notice-text" dir="auto">
                {visible(notice.message)}
              </p>
              {(notice.tags.length > 0 || notice.click) && (
                <p class="muted kind-foot">
                  {notice.tags.map((tag, at) => (
                    <span key={at} class="badge foreign">
                      {oneLine(tag)}
                    </span>
                  ))}
                  {notice.click && (
                    <a href={notice.click} target="_blank" rel="noopener noreferrer">
                      {oneLine(new URL(notice.click).host)}
                    </a>
                  )}
                </p>
              )}
            </div>
          </li>
        ))}
      </ul>
      {notices.dropped > 0 && <p class="muted">{plural(notices.dropped, 'earlier notification')} not shown.</p>}
    </div>
  );
}
