import { plural } from '../../format';
import { href } from '../../router';
import { oneLine } from '../../text';
import { LogDisplay } from './log-display';
import { MediaDisplay } from './media-display';
import { NoticesDisplay } from './notices-display';
import { ProgressDisplay } from './progress-display';
import { KINDS, KIND_NAMES, type Kind } from './reading';
import { RowsDisplay } from './rows-display';
import { TokensDisplay } from './tokens-display';
import type { TopicDisplay } from './topic-display';

interface Props {
  display: TopicDisplay;
  /** The hub's clock, in milliseconds since the epoch. */
  now: number;
  onChoose(kind: Kind | null): void;
}

export function TopicCard({ display, now, onChoose }: Props) {
  const name = oneLine(display.topic);
  const { kind } = display;
  // What is wide gets the whole row.
  const wide = display.log.length > 0;
  return (
    <article class="card kind-card" aria-label={name} data-kind={kind ?? 'text'} data-wide={wide}>
      <header>
        <h3 class="foreign">
          <a href={href('topics', display.topic)}>{name}</a>
        </h3>
        <span class="muted">
          {plural(display.events, 'event')}
          {display.ended && ', ended'}
        </span>
        <label class="kind-choice">
          <span class="hidden">Show {name} as</span>
          <select value={display.chosen ?? ''} onChange={(event) => onChoose((event.currentTarget.value || null) as Kind | null)}>
            <option value="">By itself{kind && !display.chosen ? `: ${KIND_NAMES[kind]}` : ''}</option>
            {KINDS.map((known) => (
              <option key={known} value={known}>
                {KIND_NAMES[known]}
              </option>
            ))}
          </select>
        </label>
      </header>
      <ProgressDisplay progress={display.progress} now={now} />
      <TokensDisplay tokens={display.tokens} />
      <MediaDisplay shelf={display.media} />
      <NoticesDisplay notices={display.notices} />
      <LogDisplay log={display.log} topic={name} />
      <RowsDisplay rows={display.rows} />
    </article>
  );
}
