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
  /** The number of the drawing: a display changes within, so without it a component would not be drawn again. */
  drawn: number;
  /** The hub's clock, in milliseconds since the epoch. */
  now: number;
  onChoose(kind: Kind | null): void;
}

export function TopicCard({ display, drawn, now, onChoose }: Props) {
  const name = oneLine(display.topic);
  const { kind } = display;
  // What is wide gets the whole row.
  const wide = display.log.length > 0;
  return (
    <article class="card kind-card" aria-label={name} data-kind={kind ?? 'text'} data-wide={wide}>
      <header>
        <h2 class="foreign">
          <a href={href('topics', display.topic)}>{name}</a>
        </h2>
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
      {display.gaps > 0 && (
        <p class="note kind-gap" data-kind="warn">
          Events of this topic are missing: they are no longer kept. What is shown has a hole.
        </p>
      )}
      <ProgressDisplay drawn={drawn} progress={display.progress} now={now} />
      <TokensDisplay drawn={drawn} tokens={display.tokens} now={now} />
      <MediaDisplay drawn={drawn} shelf={display.media} />
      <NoticesDisplay drawn={drawn} notices={display.notices} />
      <LogDisplay drawn={drawn} log={display.log} topic={name} />
      <RowsDisplay drawn={drawn} rows={display.rows} />
    </article>
  );
}
