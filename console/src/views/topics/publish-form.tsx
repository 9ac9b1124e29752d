import { useEffect, useRef, useState } from 'preact/hooks';
import { plural } from '../../format';
import { type Draft, type Outcome, Publisher } from '../../hub/events';
import { HubError } from '../../hub/request';
import type { Receipt } from '../../hub/types';
import { href } from '../../router';
import { visible } from '../../text';
import { Refusal } from '../../ui/note';

interface Props {
  /** The topic; absent where it is typed. */
  topic?: string;
  start?: Partial<Draft>;
  /** Whether the hub cannot be reached now, where that is known. */
  away?: boolean;
  onPublished?(receipt: Receipt): void;
}

/** What came of the last publish: of a draft, so it goes when the draft changes. */
type Told = (Outcome & { draft: Draft }) | { kind: 'back'; draft: Draft };

export function PublishForm({ topic, start, away = false, onPublished }: Props) {
  const [draft, setDraft] = useState<Draft>({ topic: '', event: '', data: '', close: false, ...start, ...(topic !== undefined && { topic }) });
  const [told, setTold] = useState<Told | null>(null);
  const [busy, setBusy] = useState(false);
  const publisher = useRef<Publisher>();
  publisher.current ??= new Publisher();
  const there = useRef(true);
  useEffect(() => () => void (there.current = false), []);

  // The hub was away since the draft went without an answer, and is there again.
  const wasAway = useRef(false);
  useEffect(() => {
    if (told?.kind !== 'unknown') wasAway.current = false;
    else if (away) wasAway.current = true;
    else if (wasAway.current) setTold({ kind: 'back', draft: told.draft });
  }, [told, away]);

  const change = (part: Partial<Draft>) => {
    publisher.current!.forget();
    setTold(null);
    setDraft({ ...draft, ...part });
  };
  const publish = async (event: Event) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setTold(null);
    const outcome = await publisher.current!.publish(draft);
    if (!there.current) return;
    setBusy(false);
    setTold({ ...outcome, draft });
    if (outcome.kind === 'published') onPublished?.(outcome.receipt);
  };
  const again = told?.kind === 'unknown' || told?.kind === 'back';
  return (
    <form class="topic-publish-form" aria-label="Publish" onSubmit={(event) => void publish(event)}>
      {topic === undefined && (
        <label class="field">
          Publish to topic
          <input required readOnly={busy} maxLength={255} spellcheck={false} autocapitalize="off" autocomplete="off" value={draft.topic} onInput={(event) => change({ topic: event.currentTarget.value })} />
        </label>
      )}
      <label class="field">
        Data
        <textarea
          rows={3}
          readOnly={busy}
          spellcheck={false}
          value={draft.data}
          onInput={(event) => change({ data: event.currentTarget.value })}
          onKeyDown={(event) => {
            if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) event.currentTarget.form!.requestSubmit();
          }}
        />
      </label>
      <div class="row">
        <label class="field grow">
          Event name
          <input placeholder="message" readOnly={busy} maxLength={255} spellcheck={false} autocapitalize="off" autocomplete="off" value={draft.event} onInput={(event) => change({ event: event.currentTarget.value })} />
        </label>
        <button class="main" disabled={busy}>
          {busy ? 'Publishing…' : again ? 'Publish again' : 'Publish'}
        </button>
      </div>
      <label class="check">
        <input type="checkbox" disabled={busy} checked={draft.close} onChange={(event) => change({ close: event.currentTarget.checked })} />
        Last event: close the topic
      </label>
      <div class="topic-publish-told" role="status">
        {told && <Outcomes told={told} linked={topic === undefined} />}
      </div>
    </form>
  );
}

function Outcomes({ told, linked }: { told: Told; linked: boolean }) {
  const name = <span class="foreign">{visible(told.draft.topic)}</span>;
  if (told.kind === 'published') {
    const { id, subscribers } = told.receipt;
    return (
      <p data-tone="good">
        On disk in {linked ? <a href={href('topics', told.draft.topic)}>{name}</a> : name} as <code>{id}</code>, sent to {plural(subscribers, 'live subscriber')}
        {told.draft.close && '. The topic is closed'}.
      </p>
    );
  }
  if (told.kind === 'unknown') {
    return (
      <p data-tone="bad">
        It is not known whether the event was published to {name}: {told.why.replace(/\.$/, '')}. Publish it again; within minutes that creates no duplicate.
      </p>
    );
  }
  if (told.kind === 'back') {
    return <p data-tone="warn">The hub is back. If the list does not show the event, publish it again; within minutes that creates no duplicate.</p>;
  }
  return <Refusal error={explained(told.error)} />;
}

/** The refusal for someone who has this page and no command line. */
function explained(error: HubError): HubError {
  const detail =
    error.code === 'topic-closed'
      ? 'Not published: the topic is closed. Somebody published its last event, or closed it. On its page it can be reopened; or publish to another topic.'
      : `Not published. ${error.detail}`;
  return new HubError(error.status, error.code, detail, error.retryAfter, error.members);
}
