// What a display says in words. The status of a run is said the same way everywhere.
import { count, duration } from '../../format';
import type { RunEnding } from './reading';
import type { ProgressBar, TimeLeft } from './progress-bars';

export type Tone = 'good' | 'info' | 'warn' | 'bad' | 'none';

const STATUS: Record<string, [string, Tone]> = {
  running: ['Running', 'info'],
  completed: ['Completed', 'good'],
  stopped: ['Stopped', 'warn'],
  abandoned: ['Stopped: nobody was watching', 'warn'],
  failed: ['Failed', 'bad'],
  truncated: ['Cut off by the provider', 'bad'],
  timed_out: ['Timed out', 'bad'],
  interrupted: ['Interrupted: the hub ended', 'bad'],
  closed: ['Ended with its topic', 'none'],
};

/** A run's status in words, and its tone. One that a newer hub adds is shown as it is. */
export const statusWords = (status: string): [string, Tone] => (Object.hasOwn(STATUS, status) ? STATUS[status]! : [status.replaceAll('_', ' '), 'none']);

/** `Stopped by ann`, `Failed: the model is overloaded`. */
export function endingWords({ status, by, error }: Pick<RunEnding, 'status' | 'by' | 'error'>): string {
  const [words] = statusWords(status);
  if (status === 'stopped' && by) return `${words} by ${by}`;
  // The error of a run that was stopped says no more than that.
  return error && error !== status && status !== 'completed' ? `${words}: ${error}` : words;
}

/** `19 tokens in, 42 out`; empty when nothing was counted. */
export function usageWords({ input, output }: { input: number | null; output: number | null }): string {
  const parts = [input !== null && `${count(input)} tokens in`, output !== null && (input === null ? `${count(output)} tokens out` : `${count(output)} out`)];
  return parts.filter(Boolean).join(', ');
}

const whole = (ms: number) => duration(ms < 10_000 ? Math.round(ms / 1000) * 1000 : ms);
const amount = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

/** `42 %`, `3 of 6 files`, `1,024 rows`. */
export function doneWords(bar: ProgressBar): string {
  if (bar.unit === '%') return `${amount.format(bar.done)} %`;
  const unit = bar.unit && ` ${bar.unit}`;
  return bar.total === null ? amount.format(bar.done) + unit : `${amount.format(bar.done)} of ${amount.format(bar.total)}${unit}`;
}

/** `2.5 files/s`; empty when it is not known, or says no more than the time left. */
export function rateWords(bar: ProgressBar): string {
  const { rate } = bar;
  if (rate === null || bar.unit === '%') return '';
  return rate >= 0.1 ? `${amount.format(rate)}${bar.unit && ` ${bar.unit}`}/s` : `${amount.format(rate * 60)}${bar.unit && ` ${bar.unit}`}/min`;
}

export function leftWords(left: TimeLeft): string {
  switch (left.state) {
    case 'done':
      return left.took > 0 ? `done in ${duration(left.took)}` : 'done';
    case 'left':
      return left.ms < 1000 ? 'a moment left' : `about ${whole(left.ms)} left`;
    case 'unknown':
      return 'time left not known';
    case 'stalled':
      return `nothing new for ${whole(left.ms)}`;
    case 'ended':
      return 'ended before it was done';
  }
}
