import { useState } from 'preact/hooks';
import { HubError } from '../../hub/request';
import { deleteRun, stopRun } from '../../hub/runs';
import { oneLine } from '../../text';
import { Dialog } from '../../ui/dialog';
import { toast } from '../../ui/toasts';

interface Props {
  id: string;
  model: string;
  topic: string | null;
  running: boolean;
  onDeleted(): void;
}

export function RunActions({ id, model, topic, running, onDeleted }: Props) {
  const [busy, setBusy] = useState(false);
  const [asked, setAsked] = useState<'delete' | 'drain' | null>(null);
  const act = async (what: () => Promise<void>, failed: string) => {
    setBusy(true);
    try {
      await what();
      setAsked(null);
    } catch (error) {
      if (!(error instanceof HubError)) throw error;
      toast('bad', failed, error.detail);
    } finally {
      setBusy(false);
    }
  };
  return (
    <div class="row">
      {running && (
        <>
          <button type="button" class="danger" disabled={busy} onClick={() => void act(() => stopRun(id), 'It was not stopped')}>
            Stop
          </button>
          <button type="button" disabled={busy} onClick={() => setAsked('drain')}>
            Drain …
          </button>
        </>
      )}
      <button type="button" disabled={busy} onClick={() => setAsked('delete')}>
        Delete …
      </button>
      {asked === 'drain' && (
        <Dialog title="Drain this run?" onClose={() => setAsked(null)}>
          <p>The text ends here for everybody who watches, as when it is stopped. The provider is read on in the background until its end, so that the tokens are counted, and billed.</p>
          <div class="row end">
            <button type="button" onClick={() => setAsked(null)}>
              Cancel
            </button>
            <button type="button" class="main" disabled={busy} onClick={() => void act(() => stopRun(id, true), 'It is not drained')}>
              Drain it
            </button>
          </div>
        </Dialog>
      )}
      {asked === 'delete' && (
        <Dialog title="Delete this run?" onClose={() => setAsked(null)}>
          <p>
            {running && 'It is stopped. '}What <strong class="foreign">{model || 'it'}</strong> has said is overwritten
            {topic && (
              <>
                {' '}
                in the topic <code class="foreign">{oneLine(topic)}</code>
              </>
            )}
            , for everybody. This cannot be undone.
          </p>
          <div class="row end">
            <button type="button" onClick={() => setAsked(null)}>
              Cancel
            </button>
            <button type="button" class="danger" disabled={busy} onClick={() => void act(() => deleteRun(id).then(onDeleted), 'It was not deleted')}>
              Delete it
            </button>
          </div>
        </Dialog>
      )}
    </div>
  );
}
