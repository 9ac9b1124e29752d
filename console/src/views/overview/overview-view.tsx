import { useEffect, useState } from 'preact/hooks';
import { duration } from '../../format';
import { mayOperate, relayProviders } from '../../hub/access';
import type { Stats } from '../../hub/types';
import { Note, Refusal } from '../../ui/note';
import { OperatorsOnly } from '../../ui/operators-only';
import { type Item, attention, connection } from './attention';
import { AttentionList } from './attention-list';
import { BusiestHolders, BusiestTopics, MostWatched } from './busiest';
import { Details } from './details';
import { Charts } from './figures';
import { minuteBefore } from './past';
import { RelayFigures } from './relay-figures';
import { newestMinute } from './series';
import { StartHere } from './start-here';
import { type Figures, useFigures } from './use-figures';
import './overview.css';

export function OverviewView() {
  // The hub decides; what it refuses is not asked for.
  return mayOperate() ? <Overview /> : <OperatorsOnly view="Overview" title="The hub's figures are not shown here" />;
}

function Overview() {
  const figures = useFigures();
  const { stats, stream, historyError, reconnect } = figures;
  const now = useNow(1000);
  const silent = figures.at === null ? null : Math.max(0, now - figures.at);
  if (stream.name === 'refused') {
    return (
      <>
        <h1>Overview</h1>
        <Refusal error={stream.error} retry={reconnect} />
      </>
    );
  }
  const lost = connection(stream, silent);
  if (!stats) {
    return (
      <>
        <h1>Overview</h1>
        {lost ? <AttentionList items={[lost]} reconnect={reconnect} /> : <p class="muted">Reading the figures …</p>}
      </>
    );
  }
  return (
    <div class="overview" data-stale={lost !== null}>
      <Head stats={stats} lost={lost !== null} />
      <AttentionList items={needs(figures, stats, lost)} reconnect={lost && reconnect} />
      <FirstSteps stats={stats} />
      {historyError && (
        <Note kind="info">
          <p>The charts begin now, because the last 15 minutes cannot be read: {historyError.detail}</p>
        </Note>
      )}
      <Charts stats={stats} series={figures.series} />
      <div class="overview-tables">
        <BusiestTopics topics={stats.top_topics} />
        <MostWatched topics={stats.top_topics_by_subscribers} />
        <BusiestHolders holders={stats.holders} known={stats.holders_known} />
        {relayProviders() !== null && <RelayFigures relay={stats.relay} />}
      </div>
      <Details stats={stats} />
    </div>
  );
}

/** Figures that are not current say nothing about now, but that they are missing does. */
function needs({ at, past, series, why }: Figures, stats: Stats, lost: Item | null): Item[] {
  if (lost) return [lost];
  return attention({ now: stats, before: minuteBefore(past, at!), minute: newestMinute(series), restarted: past.restarted, why });
}

function Head({ stats, lost }: { stats: Stats; lost: boolean }) {
  const [tone, word] = lost
    ? ['bad', 'No figures']
    : stats.draining
      ? ['bad', 'Stopping']
      : stats.ready
        ? ['good', 'Ready']
        : ['bad', 'Not ready'];
  return (
    <header class="overview-head">
      <h1>Overview</h1>
      <span class="badge" data-tone={tone}>
        {word}
      </span>
      <p class="muted">
        gapless {stats.version} · up {duration(Math.floor(stats.uptime_s) * 1000)} · log <code>{stats.epoch}</code>
        {stats.engine === 'memory' && ' · in memory'}
      </p>
    </header>
  );
}

/** Shown on the first visit of a hub without events, and until it is left or hidden. */
function FirstSteps({ stats }: { stats: Stats }) {
  const done = stats.events.in_total > 0 || stats.store.events > 0;
  const [shown, setShown] = useState(!done);
  return shown ? <StartHere done={done} onHide={() => setShown(false)} /> : null;
}

/** The time, every so many milliseconds. */
function useNow(everyMs: number): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, []);
  return now;
}
