// Who makes the hub work: the busiest topics and holders.
import { brief, bytes, count, plural } from '../../format';
import type { Stats } from '../../hub/types';
import { href } from '../../router';
import { oneLine } from '../../text';

export function BusiestTopics({ topics }: { topics: Stats['top_topics'] }) {
  return (
    <section class="card" aria-labelledby="busiest-topics">
      <h2 id="busiest-topics">Busiest topics</h2>
      {topics.length === 0 ? (
        <p class="muted">No topic has had an event within the last half a minute.</p>
      ) : (
        <table class="busy">
          <thead>
            <tr>
              <th scope="col">Topic</th>
              <th scope="col" class="number">
                Events
              </th>
              <th scope="col" class="number wide-only">
                Data
              </th>
              <th scope="col" class="number">
                Streams
              </th>
              <th scope="col">
                <span class="hidden">Watch</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {topics.map(({ topic, events_per_s, bytes_per_s, subscribers }) => (
              <tr key={topic}>
                <td>
                  <TopicLink topic={topic} />
                </td>
                <td class="number">{brief(events_per_s)} /s</td>
                <td class="number wide-only">{bytes(bytes_per_s)}/s</td>
                <td class="number">{count(subscribers)}</td>
                <td class="number">
                  <LiveLink topic={topic} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

export function MostWatched({ topics }: { topics: Stats['top_topics_by_subscribers'] }) {
  return (
    <section class="card" aria-labelledby="most-watched">
      <h2 id="most-watched">Most watched topics</h2>
      {topics.length === 0 ? (
        <p class="muted">No stream is open on a topic.</p>
      ) : (
        <table class="busy">
          <thead>
            <tr>
              <th scope="col">Topic</th>
              <th scope="col" class="number">
                Streams
              </th>
            </tr>
          </thead>
          <tbody>
            {topics.map(({ topic, subscribers }, rank) => (
              <tr key={rank}>
                <td>
                  <TopicLink topic={topic} />
                </td>
                <td class="number">
                  <a href={href('streams', '', { topic })} aria-label={`${plural(subscribers, 'subscriber')} of ${oneLine(topic)}`}>
                    {count(subscribers)}
                  </a>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

export function BusiestHolders({ holders, known }: { holders: Stats['holders']; known: number }) {
  return (
    <section class="card" aria-labelledby="busiest-holders">
      <h2 id="busiest-holders">Busiest holders of tokens</h2>
      {holders.length === 0 ? (
        <p class="muted">No token has been used.</p>
      ) : (
        <table class="busy">
          <thead>
            <tr>
              <th scope="col">Holder</th>
              <th scope="col" class="number">
                Streams
              </th>
              <th scope="col" class="number">
                Events
              </th>
              <th scope="col" class="number wide-only">
                Data
              </th>
              <th scope="col" class="number">
                Refused
              </th>
            </tr>
          </thead>
          <tbody>
            {holders.map(({ holder, streams, events_total, bytes_total, refused_total }) => (
              <tr key={holder}>
                <td>
                  <a class="foreign" href={href('streams', '', { holder })}>
                    {oneLine(holder)}
                  </a>
                </td>
                <td class="number">{count(streams)}</td>
                <td class="number">{brief(events_total)}</td>
                <td class="number wide-only">{bytes(bytes_total)}</td>
                <td class="number">{brief(refused_total)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {known > holders.length && <p class="muted">{count(known)} holders are known; these are the busiest since the hub knows them.</p>}
    </section>
  );
}

const TopicLink = ({ topic }: { topic: string }) => (
  <a class="foreign" href={href('topics', topic)}>
    {oneLine(topic)}
  </a>
);

const LiveLink = ({ topic }: { topic: string }) => (
  <a href={href('live', '', { topic })}>
    Watch<span class="hidden"> {oneLine(topic)}</span>
  </a>
);
