// One row of the list. Its height is known beforehand: see layout.ts.
import { bytes, clock, count, dateTime } from '../../format';
import { oneLine, visible } from '../../text';
import type { LiveEvent, LiveItem } from './entry';
import { markText, markTone } from './marks';
import { HEAD, LINE, MOST_LINES, linesOf } from './layout';
import { type Line, extent, plainLines, prettyLines } from './pretty';

/** Characters of a line of text that are looked at: more do not fit into a row of any screen. */
const MOST_CHARACTERS = 600;

interface RowProps {
  item: LiveItem;
  index: number;
  top: number;
  height: number;
  /** Where the pattern has topics. */
  withTopic: boolean;
  pretty: boolean;
  expanded: boolean;
  selected: boolean;
  onSelect(): void;
  onExpand(): void;
}

export const rowId = (n: number): string => `live-row-${n}`;

export function Row(props: RowProps) {
  const { item, index, top, height, selected, onSelect } = props;
  const place = {
    role: 'row' as const,
    id: rowId(item.n),
    'aria-rowindex': index + 1,
    style: { transform: `translateY(${top}px)`, height: `${height}px` },
  };
  if (item.kind === 'mark') {
    return (
      <div {...place} class="live-row live-mark" data-tone={markTone(item.mark)} data-mark={item.mark.type}>
        <span role="gridcell">{markText(item.mark)}</span>
      </div>
    );
  }
  return (
    <div
      {...place}
      class="live-row"
      data-kind={item.event === 'hub.removed' ? 'removed' : 'event'}
      data-pretty={props.pretty}
      aria-selected={selected}
      onClick={onSelect}
    >
      <Cells {...props} event={item} />
    </div>
  );
}

function Cells({ event, withTopic, pretty, expanded, onExpand }: RowProps & { event: LiveEvent }) {
  const time = new Date(event.time);
  const removal = removalText(event);
  return (
    <>
      <span role="gridcell" class="live-time">
        <time dateTime={event.time}>
          <span class="live-date">{dateTime(time).slice(0, 10)} </span>
          {clock(time)}
        </time>
      </span>
      <span role="gridcell" class="live-data foreign">
        {withTopic && <span class="live-topic">{oneLine(event.topic)}</span>}
        {event.event !== 'message' && !removal && <span class="live-name">{oneLine(event.event)}</span>}
        {removal ? <em>{removal}</em> : !pretty && <span class="live-text">{start(event.data)}</span>}
      </span>
      <span role="gridcell" class="live-id">
        <span class="live-size">{event.size >= 1024 ? bytes(event.size) : ''}</span>
        {event.id}
      </span>
      {pretty && !removal && <Pretty event={event} expanded={expanded} onExpand={onExpand} />}
    </>
  );
}

/** What stands in the place of a removed event, or tells of one. */
export function removalText(event: LiveEvent): string | null {
  if (event.removed) return 'Removed';
  if (event.event !== 'hub.removed') return null;
  try {
    return `${visible(String((JSON.parse(event.data) as { id: unknown }).id))} was removed`;
  } catch {
    return 'An event was removed';
  }
}

/** The beginning of the data in one line. */
function start(data: string): string {
  if (data.length <= MOST_CHARACTERS) return oneLine(data);
  // Not half of a surrogate pair.
  const end = (data.charCodeAt(MOST_CHARACTERS - 1) & 0xfc00) === 0xd800 ? MOST_CHARACTERS - 1 : MOST_CHARACTERS;
  return oneLine(data.slice(0, end)) + '…';
}

function Pretty({ event, expanded, onExpand }: { event: LiveEvent; expanded: boolean; onExpand(): void }) {
  const { json, lines, more } = linesOf(event, expanded);
  return (
    <div role="gridcell" class="live-pretty" style={{ top: `${HEAD}px` }}>
      <pre class="foreign" style={{ lineHeight: `${LINE}px` }}>
        {json ? <JsonLines lines={prettyLines(event.data, lines)} /> : <PlainLines lines={plainLines(event.data, lines)} />}
      </pre>
      {(more || lines > MOST_LINES) && (
        <button type="button" class="small" onClick={(click) => (click.stopPropagation(), onExpand())}>
          {expanded ? `Show ${MOST_LINES} lines` : showAll(event)}
        </button>
      )}
    </div>
  );
}

function showAll(event: LiveEvent): string {
  const { lines, more } = linesOf(event, true);
  return more ? `Show the first ${count(lines)} lines` : `Show all ${count(lines)} lines`;
}

export function JsonLines({ lines }: { lines: Line[] }) {
  return lines.map(({ depth, segments }, at) => (
    <span key={at} class="live-line">
      {'  '.repeat(depth)}
      {segments.map(({ kind, text }, place) => (
        <span key={place} class={`json-${kind}`}>
          {oneLine(text)}
          {text === ':' && ' '}
        </span>
      ))}
    </span>
  ));
}

export function PlainLines({ lines }: { lines: string[] }) {
  return lines.map((line, at) => (
    <span key={at} class="live-line">
      {oneLine(line) || ' '}
    </span>
  ));
}

/** Whether the data has a form with several lines. */
export const isJson = (data: string): boolean => extent(data, MOST_LINES).json;
