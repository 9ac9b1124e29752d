import { useState } from 'preact/hooks';
import { count } from '../../format';
import { mayOperate } from '../../hub/access';
import { HUB, shellWord } from '../../hub/address';
import { curlToken } from '../../hub/credential';
import { type StreamsQuery, openStreams } from '../../hub/streams';
import type { OpenStream } from '../../hub/types';
import { route } from '../../router';
import { Command } from '../../ui/copy';
import { Empty } from '../../ui/empty';
import { Refusal } from '../../ui/note';
import { OperatorsOnly } from '../../ui/operators-only';
import { useResource } from '../../ui/resource';
import { type Ending, EndDialog } from './end-dialog';
import { Filters } from './filters';
import { Freshness, useRefresh } from './refresh';
import { address, fromAddress } from './selection';
import { StreamTable } from './stream-table';
import './streams.css';

export function StreamsView() {
  return mayOperate() ? <Streams /> : <OperatorsOnly view="Streams" title="The open streams are not shown here" />;
}

function Streams() {
  const query = fromAddress(route.value.query);
  const { sort, holder, topic, after } = query;
  const page = useResource((signal) => openStreams(query, signal), [sort, holder, topic, after]);
  const refresh = useRefresh(page);
  const [ending, setEnding] = useState<Ending | null>(null);
  const { value, error } = page;
  const isFiltered = holder !== '' || topic !== '';
  return (
    <>
      <header class="streams-head">
        <h1>Streams</h1>
        {value && <p class="muted">{isFiltered ? `${count(value.total)} match` : `${count(value.total)} open`}</p>}
        <Freshness paused={refresh.paused} age={refresh.age} reload={page.reload} />
      </header>
      <Filters query={query} onEndAll={holder && value?.total ? () => setEnding({ holder, streams: topic ? null : value.total }) : null} />
      {error && <Refusal error={error} retry={page.reload} />}
      {!value && !error && <p class="muted">Reading the open streams …</p>}
      {value && value.streams.length === 0 && <Nobody query={query} />}
      <div ref={refresh.place}>
        {value && value.streams.length > 0 && <StreamTable streams={value.streams} query={query} onEnd={(stream: OpenStream) => setEnding({ stream })} />}
      </div>
      {value && (after || value.next) && (
        <nav class="row" aria-label="Pages">
          {after && (
            <a class="button" href={address(query, { after: '' })}>
              First page
            </a>
          )}
          {value.next && (
            <a class="button" href={address(query, { after: value.next })}>
              Next page
            </a>
          )}
        </nav>
      )}
      {value && value.streams.length > 0 && (
        <p class="muted">
          <a href="docs/OPERATIONS.md#streams" target="_blank" rel="noopener">
            What each column means
          </a>
        </p>
      )}
      {ending && <EndDialog ending={ending} onClose={() => setEnding(null)} onEnded={page.reload} />}
    </>
  );
}

function Nobody({ query }: { query: StreamsQuery }) {
  if (query.holder || query.topic || query.after) {
    return (
      <Empty title="No open stream is meant by this">
        <p>Holders and topics are compared as they are written, with upper and lower case. A pattern such as jobs/** finds streams that ask for that very pattern.</p>
        <div class="row">
          <a class="button" href={address(query, { holder: '', topic: '' })}>
            Show all streams
          </a>
        </div>
      </Empty>
    );
  }
  return (
    <Empty title="Nobody is connected">
      <p>A stream is open as long as a client subscribes. Open one, and it is here within seconds:</p>
      <Command>{`curl -N ${curlToken()}${shellWord(`${HUB}events?topic=demo`)}`}</Command>
    </Empty>
  );
}
