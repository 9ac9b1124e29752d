// The events as rows, of which only those in sight are in the page.
import { useMemo, useState } from 'preact/hooks';
import { count } from '../../format';
import { isPattern } from '../../hub/pattern';
import { Earlier } from './earlier';
import type { LiveEvent } from './entry';
import { type Filter, wanted } from './filter';
import { heightOf } from './layout';
import type { ReadBack } from './read-back';
import { Row, rowId } from './row';
import { Rows } from './rows';
import { useVirtual } from './virtual';
import type { Watch } from './watch';

/** Elements for rows are used again in turns; more than fit into any window. */
const ELEMENTS = 512;
/** Milliseconds for the rows of another display or filter before they are drawn; the rest follows. */
const FIRST = 12;
/** Rows that a page key moves by. */
const PAGE = 15;
/** The width is taken in steps, so that a changing window does not lay out all rows for each pixel. */
const STEP = 16;

interface ListProps {
  watch: Watch;
  readBack: ReadBack;
  pretty: boolean;
  filter: Filter;
  /** The number of the selected event. */
  selected: number | null;
  onSelect(event: LiveEvent | null): void;
  /** Enter on the selected event, or a click. */
  onOpen(event: LiveEvent): void;
  onClose(): void;
}

export function EventList({ watch, readBack, pretty, filter, selected, onSelect, onOpen, onClose }: ListProps) {
  const { store } = watch;
  const [expanded] = useState(() => new Set<number>());
  const [width, setWidth] = useState(0);
  const rows = useMemo(() => {
    const made = new Rows(store, (item) => heightOf(item, pretty, width, expanded), wanted(filter));
    made.sync(FIRST);
    return made;
  }, [store, pretty, width, filter.name, filter.text]);
  const list = useVirtual(store, rows);
  const stepped = Math.floor(list.width / STEP) * STEP;
  if (stepped !== width) setWidth(stepped);

  /** Selects the event at the index, or else the next one in this direction: a mark has no details. */
  const select = (index: number, step: 1 | -1) => {
    for (let at = Math.max(0, Math.min(rows.rows.length - 1, index)); at >= 0 && at < rows.rows.length; at += step) {
      const item = rows.rows.at(at)!.item;
      if (item.kind !== 'event') continue;
      onSelect(item);
      list.reveal(at);
      return;
    }
  };
  const move = (by: number) => {
    const step = by < 0 ? -1 : 1;
    if (selected === null) return select(by < 0 ? list.to - 1 : list.from, step);
    const at = rows.indexOf(selected);
    // The selected one has left: the row at its place is the next one.
    select(at + (by > 0 && rows.rows.at(at)?.item.n !== selected ? by - 1 : by), step);
  };
  const keys: Record<string, () => void> = {
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    PageDown: () => move(PAGE),
    PageUp: () => move(-PAGE),
    Home: () => select(0, 1),
    End: () => {
      select(rows.rows.length - 1, -1);
      list.follow();
    },
    Enter: () => {
      const row = selected === null ? undefined : rows.rows.at(rows.indexOf(selected));
      if (row?.item.kind === 'event' && row.item.n === selected) onOpen(row.item);
    },
    Escape: onClose,
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const act = keys[event.key];
    if (!act || event.altKey || event.ctrlKey || event.metaKey || event.target !== event.currentTarget) return;
    event.preventDefault();
    act();
  };

  const expand = (index: number) => {
    const { item } = rows.rows.at(index)!;
    list.leave();
    if (!expanded.delete(item.n)) expanded.add(item.n);
    rows.resize(index, heightOf(item, pretty, width, expanded));
    list.draw();
  };

  const withTopic = isPattern(watch.selection.value?.topic ?? '');
  const shown = [];
  for (let index = list.from; index < list.to; index++) {
    const { item, top, height } = rows.rows.at(index)!;
    shown.push(
      <Row
        key={(((rows.first + index) % ELEMENTS) + ELEMENTS) % ELEMENTS}
        item={item}
        index={index}
        top={top - rows.origin}
        height={height}
        withTopic={withTopic}
        pretty={pretty}
        expanded={expanded.has(item.n)}
        selected={item.n === selected}
        onSelect={() => item.kind === 'event' && (onSelect(item), onOpen(item))}
        onExpand={() => expand(index)}
      />,
    );
  }
  const filtered = filter.name !== null || filter.text !== '';
  return (
    <div class="live-list">
      <div class="live-strip">
        <Earlier watch={watch} readBack={readBack} leftOut={rows.capped ? Math.max(0, store.held - rows.looked) : 0} />
        {filtered && (
          <p class="live-matches" role="status" aria-label="Matches">
            {count(rows.matched)} of {count(rows.looked)} {rows.complete ? 'match' : 'match so far'}
          </p>
        )}
      </div>
      <div
        ref={list.container}
        class="live-scroll"
        role="grid"
        aria-label="Events"
        aria-rowcount={rows.rows.length}
        aria-readonly="true"
        aria-activedescendant={selected === null ? undefined : rowId(selected)}
        tabIndex={0}
        onScroll={list.onScroll}
        onWheel={(event) => event.deltaY < 0 && list.leave()}
        onKeyDown={onKeyDown}
      >
        <div role="rowgroup" class="live-rows" style={{ height: `${list.height}px` }}>
          {shown}
        </div>
      </div>
      {!list.following && (
        <button type="button" class="small live-jump" onClick={list.follow}>
          Jump to newest
        </button>
      )}
    </div>
  );
}
