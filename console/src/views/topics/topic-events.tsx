import { useEffect, useRef, useState } from 'preact/hooks';
import { isBefore, parts } from '../../hub/id';
import type { Topic } from '../../hub/types';
import { href, navigate, route } from '../../router';
import { Note, Refusal } from '../../ui/note';
import { useResource } from '../../ui/resource';
import { EventRow } from './event-row';
import { type Place, placeOf, placeQuery, typedPlace } from './place';
import { beside, readPlace } from './shown';
import { gapWords } from './words';

interface Props {
  topic: Topic;
  /** An event was removed. */
  onChanged(): void;
}

/** One page of the topic's events, the newest on top: the newest of all, or those that the address names. */
export function TopicEvents({ topic, onChanged }: Props) {
  const place = placeOf(route.value.query);
  const where = JSON.stringify(placeQuery(place));
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const newest = place.kind === 'newest';
  // The newest page follows by itself, unless someone is reading an event that would move away below them.
  const state = newest ? `${topic.first_id} ${topic.last_id} ${topic.events} ${topic.bytes}` : '';
  const held = useRef(state);
  if (!open.size) held.current = state;
  const shown = useResource((signal) => readPlace(topic.topic, place, topic.last_id, signal), [topic.topic, where]);
  const first = useRef(true);
  useEffect(() => {
    if (!first.current) shown.reload();
    first.current = false;
  }, [held.current]);
  // The numbers were read since: the hub is there again.
  useEffect(() => {
    if (shown.error?.status === 0) shown.reload();
  }, [topic]);
  useEffect(() => setOpen(new Set()), [where]);
  const target = shown.value?.target ?? null;
  useEffect(() => {
    if (place.kind === 'at' && target) setOpen(new Set([target]));
  }, [target, where]);

  const events = shown.value?.events ?? [];
  const { older, newer } = beside(events, topic);
  const last = events.at(-1);
  const waiting = newest && last && topic.last_id !== null && isBefore(last.id, topic.last_id);
  const follow = () => {
    held.current = state;
    setOpen(new Set());
    shown.reload();
  };
  const onRemoved = () => {
    setOpen(new Set());
    shown.reload();
    onChanged();
  };
  const toggle = (id: string) => {
    const now = new Set(open);
    if (!now.delete(id)) now.add(id);
    setOpen(now);
  };
  return (
    <>
      <div class="topic-events-head">
        <h2 id="topic-events">{HEADINGS[place.kind]}</h2>
        <Pager topic={topic.topic} older={older} newer={newest ? null : newer} place={place} />
        <Jump topic={topic} />
      </div>
      {shown.error && <Refusal error={shown.error} retry={shown.reload} />}
      {shown.value?.missing && (
        <Note kind="warn">
          <p>{shown.value.missing}</p>
        </Note>
      )}
      {shown.value?.gaps.map((gap) => (
        <Note key={`${gap.reason} ${gap.after}`} kind="warn">
          <p>Gap: {gapWords(gap)}</p>
        </Note>
      ))}
      {waiting && open.size > 0 && (
        <Note kind="info">
          <div class="row topic-events-waiting">
            <button type="button" class="small" onClick={follow}>
              Show newer events
            </button>
            <p>There are newer events. They are not moved in while an event is open.</p>
          </div>
        </Note>
      )}
      {!events.length && !shown.loading && !shown.error && <Nothing topic={topic} place={place} />}
      {!shown.value && shown.loading && <p class="muted">Loading…</p>}
      {events.length > 0 && (
        <ol class="topic-event-list card" aria-label="Events" reversed>
          {events.toReversed().map((event) => (
            <EventRow key={event.id} event={event} open={open.has(event.id)} sought={event.id === target} onToggle={() => toggle(event.id)} onRemoved={onRemoved} />
          ))}
        </ol>
      )}
      {events.length > 10 && <Pager topic={topic.topic} older={older} newer={newest ? null : newer} place={place} lower />}
    </>
  );
}

const HEADINGS: Record<Place['kind'], string> = {
  newest: 'Newest events',
  before: 'Older events',
  after: 'Newer events',
  at: 'Around an event',
  since: 'Around a time',
};

function Nothing({ topic, place }: { topic: Topic; place: Place }) {
  if (place.kind === 'before') return <p class="muted">Nothing older is kept.</p>;
  if (place.kind === 'after') return <p class="muted">There is nothing newer yet.</p>;
  return <p class="muted">{topic.last_id === null ? 'No event has been published yet.' : 'No event is kept: all have been trimmed.'}</p>;
}

function Pager({ topic, older, newer, place, lower }: { topic: string; older: Place | null; newer: Place | null; place: Place; lower?: boolean }) {
  if (!older && !newer && place.kind === 'newest') return null;
  const to = (target: Place) => href('topics', topic, placeQuery(target));
  return (
    <nav class="topic-pager" aria-label={lower ? 'Pages of events, below' : 'Pages of events'}>
      {place.kind !== 'newest' && <a class="button small" href={to({ kind: 'newest' })}>Newest</a>}
      {newer && <a class="button small" href={to(newer)}>Newer</a>}
      {older && <a class="button small" href={to(older)}>Older</a>}
    </nav>
  );
}

function Jump({ topic }: { topic: Topic }) {
  const [typed, setTyped] = useState('');
  const [wrong, setWrong] = useState(false);
  const epoch = parts(topic.last_id ?? '')?.epoch ?? null;
  const go = (event: Event) => {
    event.preventDefault();
    const place = typedPlace(typed, epoch, new Date());
    setWrong(!place);
    if (place) navigate(href('topics', topic.topic, placeQuery(place)));
  };
  return (
    <form class="topic-jump" onSubmit={go}>
      <label>
        <span class="hidden">Go to an id or a time</span>
        <input
          required
          placeholder="Id, time or age: 12:04, 10m"
          spellcheck={false}
          autocapitalize="off"
          autocomplete="off"
          value={typed}
          aria-invalid={wrong}
          aria-describedby={wrong ? 'jump-wrong' : undefined}
          onInput={(event) => (setTyped(event.currentTarget.value), setWrong(false))}
        />
      </label>
      <button>Go</button>
      {wrong && (
        <p id="jump-wrong" role="alert">
          This is neither an id (<code>{topic.last_id ?? 'yrtxnomj-17'}</code>, or its number alone), nor a time (<code>12:04</code>, <code>2026-11-26 12:04</code>), nor an age (<code>10m</code>, <code>2 h</code>).
        </p>
      )}
    </form>
  );
}

