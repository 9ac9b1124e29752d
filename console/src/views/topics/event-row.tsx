import { useEffect, useRef, useState } from 'preact/hooks';
import { bytes, dateTime } from '../../format';
import { HUB } from '../../hub/address';
import { mayAdmin } from '../../hub/access';
import { readCommand, removeEvent } from '../../hub/events';
import type { Envelope } from '../../hub/types';
import { href } from '../../router';
import { oneLine, visible } from '../../text';
import { Command, CopyButton } from '../../ui/copy';
import { Dialog } from '../../ui/dialog';
import { Refusal } from '../../ui/note';
import { toast } from '../../ui/toasts';
import { useAction } from './action';
import { SHOWN, prettyJson, removedId } from './data';

/** Characters of data in a closed row. */
const PREVIEW = 300;

interface Props {
  event: Envelope;
  open: boolean;
  /** It is the event that the address asks for. */
  sought: boolean;
  onToggle(): void;
  onRemoved(): void;
}

export function EventRow({ event, open, sought, onToggle, onRemoved }: Props) {
  const row = useRef<HTMLLIElement>(null);
  useEffect(() => {
    if (sought) row.current!.scrollIntoView({ block: 'center' });
  }, [sought]);
  const removed = removedId(event);
  return (
    <li ref={row} class="topic-event" data-sought={sought} data-removed={removed !== null}>
      <button type="button" class="topic-event-line" aria-expanded={open} onClick={onToggle}>
        <time dateTime={event.time}>{dateTime(new Date(event.time))}</time>
        {removed === null && event.event !== 'message' && <span class="topic-event-name foreign">{visible(event.event)}</span>}
        <span class="topic-event-data foreign">
          {removed === null ? oneLine(event.data.slice(0, PREVIEW)) || <em>empty</em> : removed === event.id ? 'Removed' : `${removed} was removed`}
        </span>
        <code class="topic-event-id">{event.id}</code>
      </button>
      {open && <Opened event={event} removed={removed} onRemoved={onRemoved} />}
    </li>
  );
}

function Opened({ event, removed, onRemoved }: { event: Envelope; removed: string | null; onRemoved(): void }) {
  const pretty = prettyJson(event.data);
  const [raw, setRaw] = useState(false);
  const [whole, setWhole] = useState(false);
  const [asking, setAsking] = useState(false);
  const text = pretty !== null && !raw ? pretty : event.data;
  const size = new Blob([event.data]).size;
  return (
    <div class="topic-event-open">
      {removed === null ? (
        <>
          <div class="row topic-event-tools">
            <span class="muted">
              {bytes(size)} · <span class="foreign">{visible(event.event)}</span>
            </span>
            {pretty !== null && (
              <button type="button" class="small" aria-pressed={!raw} onClick={() => setRaw(!raw)}>
                Pretty JSON
              </button>
            )}
            <CopyButton text={event.data} label="Copy data" />
            <CopyButton text={HUB + href('topics', event.topic, { at: event.id })} label="Copy link" />
            {mayAdmin() && (
              <button type="button" class="small danger" onClick={() => setAsking(true)}>
                Remove
              </button>
            )}
          </div>
          <pre class="topic-event-text foreign" tabIndex={0} aria-label="Content">
            {visible(whole ? text : text.slice(0, SHOWN))}
          </pre>
          {text.length > SHOWN && !whole && (
            <button type="button" class="small" onClick={() => setWhole(true)}>
              Show all of it
            </button>
          )}
        </>
      ) : (
        <p class="muted">
          {removed === event.id
            ? 'This event was removed: its data and its name were overwritten, and readers get this notice in its place.'
            : 'This notice tells readers that already had the event to remove it.'}
        </p>
      )}
      <Command>{readCommand(event.topic, event.id)}</Command>
      {asking && <RemoveDialog event={event} onClose={() => setAsking(false)} onDone={onRemoved} />}
    </div>
  );
}

function RemoveDialog({ event, onClose, onDone }: { event: Envelope; onClose(): void; onDone(): void }) {
  const action = useAction();
  const remove = () =>
    action.run(async () => {
      await removeEvent(event.topic, event.id);
      toast('good', 'Removed', `${event.id} is overwritten. Its bytes leave the disk within a minute.`);
      onClose();
      onDone();
    });
  return (
    <Dialog title="Remove the event?" onClose={onClose}>
      <p>
        The data and the name of <code>{event.id}</code> are overwritten. Readers who have it are told to remove it; nobody receives it any more. This cannot be undone.
      </p>
      {action.error && <Refusal error={action.error} />}
      <div class="row end">
        <button type="button" onClick={onClose}>
          Keep it
        </button>
        <button type="button" class="danger" disabled={action.busy} onClick={remove}>
          Remove
        </button>
      </div>
    </Dialog>
  );
}
