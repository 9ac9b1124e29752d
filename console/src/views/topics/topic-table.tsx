import { useEffect, useRef, useState } from 'preact/hooks';
import { bytes, count } from '../../format';
import { href } from '../../router';
import { visible } from '../../text';
import type { Retention, Topic } from '../../hub/types';
import { useRenderedRows } from './window';

/** Height of a row, in pixels, as in topics.css. */
const ROW = 36;
const NARROW_ROW = 62;
const NARROW = '(max-width: 47rem)';

function useRowHeight(): number {
  const [narrow, setNarrow] = useState(() => matchMedia(NARROW).matches);
  useEffect(() => {
    const media = matchMedia(NARROW);
    const changed = () => setNarrow(media.matches);
    media.addEventListener('change', changed);
    return () => media.removeEventListener('change', changed);
  }, []);
  return narrow ? NARROW_ROW : ROW;
}

interface Props {
  rows: Topic[];
  /** There are no other topics than these. */
  complete: boolean;
  /** Called with the rows that are in the page. */
  onSeen(range: { from: number; to: number }): void;
}

/** Topics in rows of one height. Only those near the window are in the page. */
export function TopicTable({ rows, complete, onSeen }: Props) {
  const list = useRef<HTMLDivElement>(null);
  const height = useRowHeight();
  const { from, to } = useRenderedRows(list, height, rows.length);
  useEffect(() => onSeen({ from, to }), [from, to]);
  return (
    <div class="topics-table" role="table" aria-label="Topics" aria-rowcount={complete ? rows.length + 1 : -1}>
      <div role="rowgroup" class="topics-top">
        <div class="topics-row topics-columns" role="row" aria-rowindex={1}>
          <span role="columnheader">Topic</span>
          <span role="columnheader" class="number">Events</span>
          <span role="columnheader" class="number">Size</span>
          <span role="columnheader" class="topics-apart">Oldest kept</span>
          <span role="columnheader">Newest</span>
          <span role="columnheader" class="number">Subscribers</span>
          <span role="columnheader" class="topics-apart">Keeps</span>
        </div>
      </div>
      <div role="rowgroup" ref={list} style={{ height: `${rows.length * height}px`, paddingTop: `${from * height}px` }}>
        {rows.slice(from, to).map((topic, at) => (
          <TopicRow key={topic.topic} topic={topic} index={from + at + 2} />
        ))}
      </div>
    </div>
  );
}

function TopicRow({ topic, index }: { topic: Topic; index: number }) {
  return (
    <div class="topics-row" role="row" aria-rowindex={index}>
      <span role="cell" class="topics-name">
        <a class="foreign" href={href('topics', topic.topic)}>
          {visible(topic.topic)}
        </a>
        {topic.closed && <span class="badge">closed</span>}
      </span>
      <span role="cell" class="number" data-unit={topic.events === 1 ? 'event' : 'events'}>{count(topic.events)}</span>
      <span role="cell" class="number">{bytes(topic.bytes)}</span>
      <span role="cell" class="topics-id topics-apart">{topic.first_id ?? <None what="none kept" />}</span>
      <span role="cell" class="topics-id">{topic.last_id ?? <None what="none yet" />}</span>
      <span role="cell" class="number topics-subscribers" data-live={topic.subscribers > 0} data-unit={topic.subscribers === 1 ? 'subscriber' : 'subscribers'}>
        {count(topic.subscribers)}
      </span>
      <span role="cell" class="topics-keeps topics-apart" data-limited={keeps(topic.retention) !== EVERYTHING}>{keeps(topic.retention)}</span>
    </div>
  );
}

const None = ({ what }: { what: string }) => (
  <>
    <span aria-hidden="true">–</span>
    <span class="hidden">{what}</span>
  </>
);

const EVERYTHING = 'everything';

/** The limits of a retention in a few words. */
export function keeps({ max_events, max_age, max_bytes }: Retention): string {
  const limits = [
    max_events !== null && `${count(max_events)} ${max_events === 1 ? 'event' : 'events'}`,
    max_age,
    max_bytes !== null && bytes(max_bytes),
  ].filter(Boolean);
  return limits.length ? limits.join(', ') : EVERYTHING;
}
