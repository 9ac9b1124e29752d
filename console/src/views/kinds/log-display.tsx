import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { clock, plural } from '../../format';
import { visible } from '../../text';
import type { Bounded } from './bounded';
import type { LogLine } from './topic-display';

/** Distance from the end at which the log counts as read to its end, in pixels. */
const AT_END = 24;

export function LogDisplay({ log, topic }: { log: Bounded<LogLine>; drawn: number; topic: string }) {
  const [follow, setFollow] = useState(true);
  const box = useRef<HTMLDivElement>(null);
  /** Where the page itself has scrolled to: only a person scrolls up from there. */
  const at = useRef(0);
  useLayoutEffect(() => {
    if (!follow || !box.current) return;
    box.current.scrollTop = box.current.scrollHeight;
    at.current = box.current.scrollTop;
  });
  if (!log.length) return null;
  const scrolled = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current!;
    if (scrollHeight - clientHeight - scrollTop <= AT_END) setFollow(true);
    else if (scrollTop < at.current - AT_END) setFollow(false);
  };
  return (
    <div class="kind-log">
      <div class="kind-log-box" ref={box} tabIndex={0} role="group" aria-label={`Log of ${topic}`} data-follow={follow} onScroll={scrolled}>
        <ol>
          {[...log].map((line) => (
            <Line key={line.id} line={line} />
          ))}
        </ol>
      </div>
      <div class="row">
        <button type="button" class="small" aria-pressed={follow} onClick={() => setFollow(!follow)}>
          Follow
        </button>
        {log.dropped > 0 && <span class="muted">{plural(log.dropped, 'earlier line')} not shown; the list of events has them.</span>}
      </div>
    </div>
  );
}

function Line({ line }: { line: LogLine }) {
  return useMemo(
    () => (
      <li data-level={line.level ?? 'none'}>
        <time datetime={line.time}>{clock(new Date(line.time))}</time>
        <b>{line.level ?? ''}</b>
        <span class="foreign" dir="auto">
          {visible(line.message)}
          {line.fields && <i> {visible(line.fields)}</i>}
        </span>
      </li>
    ),
    [line],
  );
}
