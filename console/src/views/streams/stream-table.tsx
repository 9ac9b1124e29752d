import { dateTime, duration } from '../../format';
import { hubNow } from '../../hub/clock';
import type { StreamSort, StreamsQuery } from '../../hub/streams';
import type { OpenStream } from '../../hub/types';
import { href } from '../../router';
import { oneLine } from '../../text';
import { SORT_LABELS } from './filters';
import { address } from './selection';
import { FORMATS, TONES, behind, selection, sent } from './words';

interface TableProps {
  streams: OpenStream[];
  query: StreamsQuery;
  onEnd(stream: OpenStream): void;
}

/** The streams; on a narrow screen each is a card. */
export function StreamTable({ streams, query, onEnd }: TableProps) {
  return (
    <div class="card streams-card">
      <table class="streams">
        <thead>
          <tr>
            <th scope="col">Client</th>
            <th scope="col">Request</th>
            <th scope="col">Holder</th>
            <th scope="col">Topics</th>
            <th scope="col">Form</th>
            <th scope="col">State</th>
            <Sortable sort="since" query={query}>
              Open for
            </Sortable>
            <Sortable sort="behind" query={query}>
              Behind
            </Sortable>
            <Sortable sort="sent_bytes" query={query}>
              Sent
            </Sortable>
            <th scope="col">
              <span class="hidden">Action</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {streams.map((stream) => (
            <Row key={stream.id} stream={stream} query={query} onEnd={onEnd} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** A column by which the hub sorts, always in the order in which it matters. */
function Sortable({ sort, query, children }: { sort: StreamSort; query: StreamsQuery; children: string }) {
  const isSorted = query.sort === sort;
  return (
    <th scope="col" class="number" aria-sort={isSorted ? (sort === 'since' ? 'ascending' : 'descending') : undefined}>
      <a class="sortable" href={address(query, { sort })}>
        {children}
        <span class="hidden">, {SORT_LABELS[sort].toLowerCase()}</span>
        <span aria-hidden="true">{isSorted ? ' ▾' : ''}</span>
      </a>
    </th>
  );
}

function Row({ stream, query, onEnd }: { stream: OpenStream; query: StreamsQuery; onEnd(stream: OpenStream): void }) {
  const id = `stream-${stream.id}`;
  const since = new Date(stream.since);
  return (
    <tr>
      <td class="client" id={id}>
        <strong class="foreign">{oneLine(stream.address)}</strong>
      </td>
      <td class="request" data-label="Request">
        <code>{oneLine(stream.request_id)}</code>
      </td>
      <td data-label="Holder">
        {stream.holder === null ? (
          <span class="muted">none</span>
        ) : (
          <a class="foreign" href={address(query, { holder: stream.holder })}>
            {oneLine(stream.holder)}
          </a>
        )}
      </td>
      <td data-label="Topics">
        <Topics stream={stream} />
      </td>
      <td data-label="Form">{FORMATS[stream.format] ?? stream.format}</td>
      <td data-label="State">
        <span class="badge" data-tone={TONES[stream.state]}>
          {stream.state}
        </span>
      </td>
      <td class="number" data-label="Open for">
        <span>
          <time dateTime={stream.since}>{duration(Math.max(0, Math.floor((hubNow() - since.getTime()) / 1000)) * 1000)}</time>
          <span class="hidden">, since {dateTime(since)}</span>
        </span>
      </td>
      <td class="number" data-label="Behind">
        {behind(stream)}
      </td>
      <td class="number" data-label="Sent">
        {sent(stream)}
      </td>
      <td class="number">
        <button type="button" class="small" aria-describedby={id} onClick={() => onEnd(stream)}>
          End
        </button>
      </td>
    </tr>
  );
}

function Topics({ stream }: { stream: OpenStream }) {
  const { shown, others } = selection(stream);
  return (
    <span class="stream-topics">
      {shown.map((topic) =>
        topic.includes('*') ? (
          <code key={topic} class="foreign">
            {oneLine(topic)}
          </code>
        ) : (
          <a key={topic} href={href('topics', topic)}>
            <code class="foreign">{oneLine(topic)}</code>
          </a>
        ),
      )}
      {others > 0 && <span class="muted">and {others} more</span>}
    </span>
  );
}
