// The charts, each with the numbers of this moment.
import { brief, bytes, count, milliseconds, plural } from '../../format';
import type { Stats } from '../../hub/types';
import { Chart } from '../../ui/chart';
import { type Column, SPAN, type Series } from './series';

interface Reading {
  name: string;
  value: string;
  more?: string;
  /** The line of the chart, and its colour. */
  column?: Column;
  colour?: string;
}

interface FigureProps {
  title: string;
  series: Series;
  readings: Reading[];
  format(value: number): string;
  base?: 10 | 1024;
}

function Figure({ title, series, readings, format, base = 10 }: FigureProps) {
  const lines = readings.flatMap(({ name, column, colour }) =>
    column && colour ? [{ name, colour, values: series.columns[column] }] : [],
  );
  return (
    <section class="card figure" aria-label={title}>
      <h2>{title}</h2>
      <dl class="readings">
        {readings.map(({ name, value, more, colour }) => (
          <div key={name}>
            <dt>
              {colour && <i class="swatch" style={{ '--swatch': `var(${colour})` }} />}
              {name}
            </dt>
            <dd class="reading">{value}</dd>
            {more && <dd class="muted">{more}</dd>}
          </div>
        ))}
      </dl>
      {lines.length > 0 && (
        <Chart label={`${title}, last 15 minutes`} time={series.columns.time} lines={lines} span={SPAN} format={format} base={base} />
      )}
    </section>
  );
}

const perSecond = (value: number) => `${brief(value)} /s`;
const bytesPerSecond = (value: number) => `${bytes(value)}/s`;
const total = (numbers: Record<string, number>) => Object.values(numbers).reduce((sum, each) => sum + each, 0);

export function Charts({ stats, series }: { stats: Stats; series: Series }) {
  const { events, bytes: data, subscriptions, store } = stats;
  return (
    <div class="figures">
      <Figure
        title="Events"
        series={series}
        format={perSecond}
        readings={[
          { name: 'in', value: perSecond(events.in_per_s), more: `${brief(events.in_total)} in total`, column: 'events_in', colour: '--accent' },
          { name: 'out', value: perSecond(events.out_per_s), more: `${brief(events.out_total)} in total`, column: 'events_out', colour: '--info' },
        ]}
      />
      <Figure
        title="Bytes"
        series={series}
        format={bytesPerSecond}
        base={1024}
        readings={[
          { name: 'in', value: bytesPerSecond(data.in_per_s), more: `${bytes(data.in_total)} in total`, column: 'bytes_in', colour: '--accent' },
          { name: 'out', value: bytesPerSecond(data.out_per_s), more: `${bytes(data.out_total)} in total`, column: 'bytes_out', colour: '--info' },
        ]}
      />
      <Figure
        title="Streams"
        series={series}
        format={count}
        readings={[
          { name: 'live', value: count(subscriptions.live), column: 'live', colour: '--accent' },
          { name: 'replaying', value: count(subscriptions.replaying), column: 'replaying', colour: '--info' },
          { name: 'lagged', value: count(subscriptions.lagged), column: 'lagged', colour: '--warn' },
        ]}
      />
      <Figure
        title="Commit latency"
        series={series}
        format={milliseconds}
        readings={[
          { name: 'p99', value: milliseconds(store.commit_ms.p99), more: 'since the start', column: 'commit_ms_p99', colour: '--accent' },
          { name: 'p50', value: milliseconds(store.commit_ms.p50), more: `${brief(store.commits_total)} ${store.commits_total === 1 ? 'commit' : 'commits'}` },
        ]}
      />
      <Figure
        title="Refusals and gaps"
        series={series}
        format={perSecond}
        readings={[
          { name: 'refused', value: brief(total(stats.refused_total)), more: 'since the start', column: 'refused', colour: '--warn' },
          { name: 'gaps told', value: brief(total(stats.gaps_total)), more: 'since the start', column: 'gaps', colour: '--info' },
          { name: 'readers cut', value: brief(stats.slow_readers_cut_total), more: 'since the start' },
        ]}
      />
      <Disk stats={stats} series={series} />
    </div>
  );
}

function Disk({ stats: { engine, store }, series }: { stats: Stats; series: Series }) {
  if (engine === 'memory') {
    const more = `${plural(store.events, 'event')}; they end with the hub`;
    return <Figure title="Memory" series={series} format={bytes} readings={[{ name: 'data', value: bytes(store.bytes), more }]} />;
  }
  const { disk_free_bytes: free, disk_total_bytes: whole } = store;
  return (
    <Figure
      title="Disk"
      series={series}
      format={bytes}
      base={1024}
      readings={[
        {
          name: 'free',
          value: free == null ? 'not known' : bytes(free),
          ...(free == null || !whole ? {} : { more: `${brief(Math.floor((free / whole) * 100))} % of ${bytes(whole)}` }),
          column: 'disk_free_bytes',
          colour: '--accent',
        },
        { name: 'store', value: bytes(store.disk_bytes), more: `${bytes(store.bytes)} of data` },
      ]}
    />
  );
}
