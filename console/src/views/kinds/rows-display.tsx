import { clock, plural } from '../../format';
import { oneLine, visible } from '../../text';
import type { Bounded } from './bounded';
import type { TextRow } from './topic-display';

/** Events of no kind: as they are. The newest is first. */
export function RowsDisplay({ rows }: { rows: Bounded<TextRow>; drawn: number }) {
  if (!rows.length) return null;
  return (
    <div class="kind-rows">
      <ul tabIndex={0} aria-label="Events as text">
        {[...rows].reverse().map((row) => (
          <li key={row.id}>
            <span class="muted">
              {clock(new Date(row.time))} {row.event !== 'message' && <b class="foreign">{oneLine(row.event)}</b>}
            </span>
            <span class="foreign" dir="auto">
              {visible(row.data)}
              {row.cut > 0 && <span class="muted"> … and {plural(row.cut, 'more character')}</span>}
            </span>
          </li>
        ))}
      </ul>
      {rows.dropped > 0 && <p class="muted">{plural(rows.dropped, 'earlier event')} not shown here.</p>}
    </div>
  );
}
