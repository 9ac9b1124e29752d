import { useState } from 'preact/hooks';
import { count, plural } from '../../format';
import { relayProviders } from '../../hub/access';
import { HubError } from '../../hub/request';
import { endStream, endStreamsOf } from '../../hub/streams';
import type { OpenStream } from '../../hub/types';
import { oneLine } from '../../text';
import { Dialog } from '../../ui/dialog';
import { Refusal } from '../../ui/note';
import { toast } from '../../ui/toasts';
import { outcome, selection } from './words';

/** One stream; or all of a holder, with their number, if it is known. */
export type Ending = { stream: OpenStream } | { holder: string; streams: number | null };

/** Says what ending does, and does it. */
export function EndDialog({ ending, onClose, onEnded }: { ending: Ending; onClose(): void; onEnded(): void }) {
  const [error, setError] = useState<HubError | null>(null);
  const [busy, setBusy] = useState(false);
  const end = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      toast('good', ...(await ended(ending)));
      onClose();
    } catch (failure) {
      if (!(failure instanceof HubError)) throw failure;
      setError(failure);
      setBusy(false);
    }
    onEnded();
  };
  const all = 'holder' in ending;
  return (
    <Dialog title={all ? `End all of ${oneLine(ending.holder)}` : 'End this stream'} onClose={onClose}>
      <form class="end-form" onSubmit={(event) => void end(event)}>
        {all ? (
          <p>
            {ending.streams === null ? 'Every stream' : ending.streams === 1 ? 'The one stream' : `All ${plural(ending.streams, 'stream')}`} of{' '}
            <strong class="foreign">{oneLine(ending.holder)}</strong> {ending.streams === 1 ? 'ends' : 'end'} now, whatever the filter for topics shows.
          </p>
        ) : (
          <p>
            The stream of <strong class="foreign">{oneLine(ending.stream.address)}</strong>
            {ending.stream.holder !== null && (
              <>
                {' '}
                (<span class="foreign">{oneLine(ending.stream.holder)}</span>)
              </>
            )}{' '}
            on <Selected stream={ending.stream} /> ends now.
          </p>
        )}
        <p>{outcome(all ? 'all' : ending.stream.format, relayProviders() !== null)}</p>
        <p class="muted">
          To keep a client out, <a href="docs/OPERATIONS.md#revoking" target="_blank" rel="noopener">revoke its credential</a>.
        </p>
        {error && <Refusal error={error} />}
        <div class="row end">
          <button type="button" onClick={onClose}>
            Leave open
          </button>
          <button class="danger" disabled={busy}>
            {all ? 'End all' : 'End it'}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function Selected({ stream }: { stream: OpenStream }) {
  const { shown, others } = selection(stream, 2);
  return (
    <>
      {shown.map((topic, at) => (
        <>
          {at > 0 && ', '}
          <code class="foreign">{oneLine(topic)}</code>
        </>
      ))}
      {others > 0 && ` and ${count(others)} more`}
    </>
  );
}

/** The title and the text of what was done. */
async function ended(ending: Ending): Promise<[string, string]> {
  if ('holder' in ending) {
    const streams = await endStreamsOf(ending.holder);
    return [`${plural(streams, 'stream')} of ${oneLine(ending.holder)} ended`, 'Their clients are told to come back.'];
  }
  try {
    await endStream(ending.stream.id);
  } catch (error) {
    if (!(error instanceof HubError && error.code === 'stream-unknown')) throw error;
    return ['The stream had ended already', 'Its client may be back with another one.'];
  }
  return ['The stream is ended', ending.stream.format === 'relay' ? 'Its answer is broken off.' : 'Its client is told to come back.'];
}
