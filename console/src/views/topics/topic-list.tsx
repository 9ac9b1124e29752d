import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { title } from '../../app';
import { count } from '../../format';
import { mayPublishSomewhere } from '../../hub/access';
import { token } from '../../hub/credential';
import { href, navigate, route } from '../../router';
import { Dialog } from '../../ui/dialog';
import { Refusal } from '../../ui/note';
import { Listing, MOST_ROWS } from './listing';
import { NothingFound, NoTopics } from './no-topics';
import { PublishForm } from './publish-form';
import { TopicTable } from './topic-table';

/** How long the search waits for the next letter, in milliseconds. */
const TYPING = 250;
/** How often the figures in sight are read again, in milliseconds. */
const REFRESH = 4000;

/** The list that was left, for those who come back to it. */
let left: { search: string; token: string | null; listing: Listing; scroll: number } | null = null;

function useListing(search: string): Listing {
  const mine = token();
  const held = useRef<{ search: string; token: string | null; listing: Listing } | null>(null);
  if (held.current?.search !== search || held.current.token !== mine) {
    held.current?.listing.stop();
    const back = left?.search === search && left.token === mine && !held.current ? left.listing : null;
    held.current = { search, token: mine, listing: back ?? new Listing(search) };
  }
  useLayoutEffect(() => {
    if (left?.listing === held.current!.listing) scrollTo(0, left.scroll);
    left = null;
    return () => {
      left = { ...held.current!, scroll: scrollY };
      held.current!.listing.stop();
    };
  }, []);
  return held.current.listing;
}

export function TopicList() {
  const search = route.value.query.get('search') ?? '';
  const listing = useListing(search);
  const { rows, next, loading, error } = listing.state.value;
  const [seen, setSeen] = useState({ from: 0, to: 0 });
  const [publishing, setPublishing] = useState(false);
  useEffect(() => title(search ? `Topics with ${search}` : 'Topics'), [search]);
  // What was left is old.
  const back = useRef(!loading);
  useEffect(() => {
    if (back.current && (seen.to > 0 || !rows.length)) {
      back.current = false;
      void listing.refresh(seen.from, seen.to);
    }
    const again = setInterval(() => {
      // Only another token helps where this one is refused.
      if (!document.hidden && !listing.state.peek().error?.needsToken) void listing.refresh(seen.from, seen.to);
    }, REFRESH);
    return () => clearInterval(again);
  }, [listing, seen]);
  // Goes on by itself while the end of what is loaded is in sight; not after a failure, which a person must see.
  const wanted = !error && !loading && next !== null && seen.to >= rows.length;
  useEffect(() => {
    if (wanted || (loading && !rows.length && !error)) void listing.more();
  }, [listing, wanted, rows]);

  const full = rows.length >= MOST_ROWS && next !== null;
  const none = !loading && !error && !rows.length && next === null;
  return (
    <>
      <div class="topics-head">
        <h1>Topics</h1>
        <Search search={search} />
        {mayPublishSomewhere() && (
          <button type="button" onClick={() => setPublishing(true)}>
            Publish an event
          </button>
        )}
      </div>
      {error && <Refusal error={error} retry={() => void (rows.length && next === null ? listing.refresh(seen.from, seen.to) : listing.more())} />}
      {error && !rows.length ? null : none ? (
        search ? <NothingFound search={search} /> : <NoTopics />
      ) : (
        <>
          <TopicTable key={search} rows={rows} complete={next === null && !loading} onSeen={setSeen} />
          <p class="muted topics-foot" role="status">
            {loading ? 'Loading…' : full ? `The first ${count(rows.length)} topics are loaded. Search for others.` : next === null ? total(rows.length, search) : `${count(rows.length)} loaded`}
          </p>
          {next !== null && !full && !error && (
            <button type="button" class="topics-more" disabled={loading} onClick={() => void listing.more()}>
              More
            </button>
          )}
        </>
      )}
      {publishing && (
        <Dialog title="Publish an event" onClose={() => setPublishing(false)}>
          <PublishForm onPublished={() => void listing.refresh(seen.from, seen.to)} />
        </Dialog>
      )}
    </>
  );
}

const total = (rows: number, search: string) => `${count(rows)} ${rows === 1 ? 'topic' : 'topics'}${search ? ' found' : ''}`;

function Search({ search }: { search: string }) {
  const [typed, setTyped] = useState(search);
  const timer = useRef<ReturnType<typeof setTimeout>>();
  // The address may change without the box: back, a link. What the box itself has asked for must not replace what was typed since.
  const asked = useRef(search);
  useEffect(() => {
    if (search !== asked.current) setTyped(search);
    asked.current = search;
  }, [search]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const look = (text: string) => {
    clearTimeout(timer.current);
    asked.current = text;
    navigate(href('topics', '', text ? { search: text } : {}), { replace: true });
  };
  return (
    <form class="topics-search" role="search" onSubmit={(event) => (event.preventDefault(), look(typed))}>
      <label>
        <span class="hidden">Search topics</span>
        <input
          type="search"
          placeholder="Search: a part of the name"
          maxLength={255}
          spellcheck={false}
          autocapitalize="off"
          autocomplete="off"
          value={typed}
          onInput={(event) => {
            const text = event.currentTarget.value;
            setTyped(text);
            clearTimeout(timer.current);
            timer.current = setTimeout(() => look(text), TYPING);
          }}
        />
      </label>
    </form>
  );
}
