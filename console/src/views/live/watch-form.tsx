import { useEffect, useState } from 'preact/hooks';
import { FROM_FIRST, FROM_KINDS, FROM_LABELS, type From, type FromKind, localTime } from './from';

/** What each value is, for the field's name. */
const VALUE_LABELS: Partial<Record<FromKind, string>> = { last: 'How many', since: 'How long ago', time: 'Time', id: 'Id' };

interface WatchFormProps {
  topic: string;
  from: From;
  /** Something is watched: on a phone the form makes room for it. */
  watching: boolean;
  onWatch(topic: string, from: From): void;
}

export function WatchForm({ topic, from, watching, onWatch }: WatchFormProps) {
  const [typed, setTyped] = useState(topic);
  const [start, setStart] = useState(from);
  useEffect(() => setTyped(topic), [topic]);
  useEffect(() => setStart(from), [from.kind, from.value]);
  const label = VALUE_LABELS[start.kind];
  const set = (value: string) => setStart({ ...start, value });
  return (
    <form
      class="row live-form"
      data-watching={watching}
      onSubmit={(event) => {
        event.preventDefault();
        onWatch(typed.trim(), start);
      }}
    >
      <label class="field grow">
        <span class="live-topic-label">Topic or pattern</span>
        <input
          required
          maxLength={255}
          spellcheck={false}
          autocapitalize="off"
          autocomplete="off"
          placeholder="orders, jobs/*/log, sensors/**"
          value={typed}
          onInput={(event) => setTyped(event.currentTarget.value)}
        />
      </label>
      <label class="field">
        From
        <select
          aria-label="From"
          value={start.kind}
          onChange={(event) => {
            const kind = event.currentTarget.value as FromKind;
            setStart({ kind, value: FROM_FIRST[kind] });
          }}
        >
          {FROM_KINDS.map((kind) => (
            <option key={kind} value={kind}>
              {FROM_LABELS[kind]}
            </option>
          ))}
        </select>
      </label>
      {label && (
        <label class="field live-from-value" data-kind={start.kind}>
          <span class="live-value-label">{label}</span>
          {start.kind === 'last' && (
            <input type="number" min="1" max="1000000" step="1" required value={start.value} onInput={(event) => set(event.currentTarget.value)} />
          )}
          {start.kind === 'since' && (
            <input required placeholder="10m, 2h, 7d" value={start.value} onInput={(event) => set(event.currentTarget.value)} />
          )}
          {start.kind === 'time' && (
            <input
              type="datetime-local"
              step="1"
              required
              value={localTime(start.value)}
              onChange={(event) => {
                const time = new Date(event.currentTarget.value);
                if (!Number.isNaN(time.getTime())) set(time.toISOString());
              }}
            />
          )}
          {start.kind === 'id' && (
            <input
              required
              pattern="\s*[0-9a-z]{4,16}-[0-9]+\s*"
              placeholder="yrtxnomj-17"
              spellcheck={false}
              value={start.value}
              onInput={(event) => set(event.currentTarget.value.trim())}
            />
          )}
        </label>
      )}
      <button class="main">Watch</button>
    </form>
  );
}
