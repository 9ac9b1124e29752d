import { visible } from '../../text';
import type { ProgressBar, ProgressBars } from './progress-bars';
import { doneWords, leftWords, rateWords } from './words';

export function ProgressDisplay({ progress, drawn, now }: { progress: ProgressBars; drawn: number; now: number }) {
  if (!progress.bars.size) return null;
  return (
    <ul class="kind-bars">
      {progress.shown.map((bar) => (
        <Bar key={bar.name} bar={bar} drawn={drawn} now={now} />
      ))}
    </ul>
  );
}

function Bar({ bar, now }: { bar: ProgressBar; drawn: number; now: number }) {
  const name = visible(bar.label || bar.name || 'Progress');
  const left = bar.left(now);
  const { fraction } = bar;
  return (
    <li data-state={left.state}>
      <div class="kind-bar-words">
        <strong class="foreign">{name}</strong>
        <span class="number">{doneWords(bar)}</span>
      </div>
      <progress aria-label={name} max={1} {...(fraction === null ? {} : { value: fraction })} />
      <div class="kind-bar-words muted">
        <span>{leftWords(left)}</span>
        <span class="number">{left.state === 'left' || left.state === 'unknown' ? rateWords(bar) : ''}</span>
      </div>
    </li>
  );
}
