import { useState } from 'preact/hooks';
import { plural } from '../../format';
import { mayAdmin } from '../../hub/access';
import { configureTopic } from '../../hub/topics';
import type { Topic } from '../../hub/types';
import { Refusal } from '../../ui/note';
import { toast } from '../../ui/toasts';
import { useAction } from './action';
import { Closing } from './closing';
import { type Fields, fieldsOf, readFields } from './fields';
import { keeps } from './topic-table';
import { useCost } from './use-cost';
import { costWords } from './words';

interface Props {
  topic: Topic;
  onChanged(): void;
}

export function Settings({ topic, onChanged }: Props) {
  return (
    <div class="topic-settings">
      <section class="card" aria-labelledby="topic-retention">
        <h2 id="topic-retention">Retention</h2>
        {mayAdmin() ? <RetentionForm topic={topic} onChanged={onChanged} /> : <p>Keeps {keeps(topic.retention)}.</p>}
      </section>
      <Closing topic={topic} onChanged={onChanged} />
    </div>
  );
}

function RetentionForm({ topic, onChanged }: Props) {
  // What is typed; null for the values in force, which may change meanwhile.
  const [typed, setTyped] = useState<Fields | null>(null);
  const fields = typed ?? fieldsOf(topic);
  const { settings, wrong } = readFields(fields, topic);
  const changed = settings !== null && Object.keys(settings).length > 0;
  const limits = settings?.retention;
  const cost = useCost(topic, limits);
  const action = useAction();
  const set = (part: Partial<Fields>) => setTyped({ ...fields, ...part });
  const save = (event: Event) => {
    event.preventDefault();
    if (!changed) return;
    action.run(async () => {
      await configureTopic(topic.topic, settings);
      setTyped(null);
      toast('good', 'Saved', limits && cost.value?.removes ? 'The events go within seconds.' : undefined);
      onChanged();
    });
  };
  const removes = (limits && cost.value?.removes) || 0;
  return (
    <form class="topic-publish-form" aria-label="Retention" onSubmit={save}>
      <p class="muted">Beyond a limit the oldest events are removed. Ages are like 7d or 1h 30m, sizes like 10 MiB.</p>
      <div class="topic-limits">
        <Field name="Most events" hint="no limit" value={fields.max_events} wrong={wrong.max_events} onInput={(max_events) => set({ max_events })} />
        <Field name="Longest age" hint="no limit" value={fields.max_age} wrong={wrong.max_age} onInput={(max_age) => set({ max_age })} />
        <Field name="Largest size" hint="no limit" value={fields.max_bytes} wrong={wrong.max_bytes} onInput={(max_bytes) => set({ max_bytes })} />
        <Field name="Reconnect after, ms" hint="the hub’s" value={fields.retry} wrong={wrong.retry} onInput={(retry) => set({ retry })} />
      </div>
      <div class="topic-cost" role="status">
        {limits && (cost.value ? <p data-tone={removes || cost.value.byRule.length ? 'warn' : 'good'}>{costWords(cost.value, topic.events)}</p> : <p class="muted">{cost.failed ?? 'Working out what this removes…'}</p>)}
      </div>
      {action.error && <Refusal error={action.error} />}
      {typed && (
        <div class="row end">
          <button type="button" onClick={() => setTyped(null)}>
            Undo
          </button>
          <button class={removes ? 'danger' : 'main'} disabled={!changed || action.busy || (!!limits && !cost.value && !cost.failed)}>
            {removes ? `Save and remove ${plural(removes, 'event')}` : 'Save'}
          </button>
        </div>
      )}
    </form>
  );
}

interface FieldProps {
  name: string;
  hint: string;
  value: string;
  wrong: string | undefined;
  onInput(value: string): void;
}

function Field({ name, hint, value, wrong, onInput }: FieldProps) {
  return (
    <label class="field">
      {name}
      <input placeholder={hint} spellcheck={false} autocapitalize="off" autocomplete="off" value={value} aria-invalid={!!wrong} onInput={(event) => onInput(event.currentTarget.value)} />
      {wrong && <span class="topic-wrong">{wrong}</span>}
    </label>
  );
}
