// The rest of the figures, for the operator who looks for one.
import type { ComponentChildren } from 'preact';
import { brief, bytes, count, duration, plural } from '../../format';
import type { Stats } from '../../hub/types';
import { HELP, helpForCode, helpHref } from './help';

export function Details({ stats }: { stats: Stats }) {
  const { store } = stats;
  return (
    <section class="card details" aria-labelledby="details">
      <h2 id="details">
        All figures <a href={helpHref(HELP.stats)} target="_blank" rel="noopener">What each means</a>
      </h2>
      <div class="details-columns">
        <Facts title="Clients">
          <Fact name="Connections">{`${count(stats.connections)} of ${count(stats.connections_limit)}`}</Fact>
          <Fact name="Connections accepted">{brief(stats.connections_total)}</Fact>
          <Fact name="Addresses">{count(stats.addresses)}</Fact>
          <Fact name="Streams that resumed">{brief(stats.resumed_total)}</Fact>
          <Fact name="Readers cut">{brief(stats.slow_readers_cut_total)}</Fact>
          <Fact name="Ended by a credential">{brief(stats.lapsed_total)}</Fact>
        </Facts>
        <Facts title="Store">
          <Fact name="Topics">{brief(stats.topics)}</Fact>
          <Fact name="Events kept">{`${brief(store.events)}, ${bytes(store.bytes)}`}</Fact>
          <Fact name="Events replayed">{brief(stats.events.replayed_total)}</Fact>
          <Fact name="Events removed">{brief(stats.events.removed_total)}</Fact>
          <Fact name="Waiting for the disk">{bytes(store.queued_bytes)}</Fact>
          <Fact name="Bodies in memory">{bytes(stats.publish_bytes)}</Fact>
          <Fact name="Damaged parts">{count(store.losses)}</Fact>
          <Fact name="Newest id">
            <code>{stats.last_id}</code>
          </Fact>
        </Facts>
        <Facts title="Clock and log">
          <Fact name="Clock ahead">{store.clock_ahead_s ? duration(store.clock_ahead_s * 1000) : 'no'}</Fact>
          <Fact name="Clock leapt">{store.clock_leapt_s ? duration(store.clock_leapt_s * 1000) : 'no'}</Fact>
          <Fact name="Log lines dropped">{brief(stats.log_lines_dropped_total)}</Fact>
          {Object.entries(stats.gaps_total).map(([reason, gaps]) => (
            <Fact key={reason} name={`Gaps: ${reason}`}>
              {brief(gaps)}
            </Fact>
          ))}
        </Facts>
        <Facts title="Refused">
          <Counters counters={stats.refused_total} none="No request has been refused." link />
          {Object.keys(stats.quota_refused_total).length > 0 && <Counters counters={stats.quota_refused_total} none="" />}
        </Facts>
      </div>
    </section>
  );
}

function Facts({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <div>
      <h3>{title}</h3>
      <dl class="pairs">{children}</dl>
    </div>
  );
}

const Fact = ({ name, children }: { name: ComponentChildren; children: ComponentChildren }) => (
  <div>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </div>
);

/** Most first. */
function Counters({ counters, none, link = false }: { counters: Record<string, number>; none: string; link?: boolean }) {
  const sorted = Object.entries(counters).sort(([, one], [, other]) => other - one);
  if (sorted.length === 0) return <Fact name={none}>{''}</Fact>;
  return (
    <>
      {sorted.map(([code, times]) => (
        <Fact
          key={code}
          name={
            link ? (
              <a href={helpHref(helpForCode(code))} target="_blank" rel="noopener" aria-label={`${code}: ${plural(times, 'request')}`}>
                {code}
              </a>
            ) : (
              code
            )
          }
        >
          {brief(times)}
        </Fact>
      ))}
    </>
  );
}
