import { useEffect, useState } from 'preact/hooks';
import { type StreamSort, type StreamsQuery, SORTS } from '../../hub/streams';
import { navigate } from '../../router';
import { oneLine } from '../../text';
import { address } from './selection';

export const SORT_LABELS: Record<StreamSort, string> = { since: 'Oldest first', behind: 'Furthest behind first', sent_bytes: 'Most sent first' };

/** `onEndAll`: null where no holder is chosen, or has no stream. */
export function Filters({ query, onEndAll }: { query: StreamsQuery; onEndAll: (() => void) | null }) {
  const [holder, setHolder] = useState(query.holder);
  const [topic, setTopic] = useState(query.topic);
  // A link to other streams changes what is written here.
  useEffect(() => setHolder(query.holder), [query.holder]);
  useEffect(() => setTopic(query.topic), [query.topic]);
  const filter = (event: Event) => {
    event.preventDefault();
    navigate(address(query, { holder: holder.trim(), topic: topic.trim() }));
  };
  const isFiltered = query.holder !== '' || query.topic !== '';
  return (
    <form class="row streams-filters" onSubmit={filter}>
      <label class="field grow">
        Holder
        <input value={holder} onInput={(event) => setHolder(event.currentTarget.value)} autocomplete="off" spellcheck={false} autocapitalize="off" />
      </label>
      <label class="field grow">
        Topic or pattern
        <input value={topic} onInput={(event) => setTopic(event.currentTarget.value)} autocomplete="off" spellcheck={false} autocapitalize="off" />
      </label>
      <button>Filter</button>
      {isFiltered && (
        <a class="button" href={address(query, { holder: '', topic: '' })}>
          Show all
        </a>
      )}
      <label class="field">
        Order
        <select aria-label="Order" value={query.sort} onChange={(event) => navigate(address(query, { sort: event.currentTarget.value as StreamSort }))}>
          {SORTS.map((sort) => (
            <option key={sort} value={sort}>
              {SORT_LABELS[sort]}
            </option>
          ))}
        </select>
      </label>
      {onEndAll && (
        <button type="button" class="danger end-all" onClick={onEndAll}>
          End all of <span class="foreign">{oneLine(query.holder)}</span>
        </button>
      )}
    </form>
  );
}
