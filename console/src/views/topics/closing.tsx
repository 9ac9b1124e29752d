import { useState } from 'preact/hooks';
import { mayAdmin } from '../../hub/access';
import { configureTopic } from '../../hub/topics';
import type { Topic } from '../../hub/types';
import { Dialog } from '../../ui/dialog';
import { Refusal } from '../../ui/note';
import { toast } from '../../ui/toasts';
import { useAction } from './action';
import { ends } from './words';

/** Closes the topic, and reopens it. */
export function Closing({ topic, onChanged }: { topic: Topic; onChanged(): void }) {
  const [asking, setAsking] = useState(false);
  const action = useAction();
  const put = (closed: boolean) =>
    action.run(async () => {
      await configureTopic(topic.topic, { closed });
      toast('good', closed ? 'Closed' : 'Reopened');
      setAsking(false);
      onChanged();
    });
  return (
    <section class="card" aria-labelledby="topic-closing">
      <h2 id="topic-closing">Closing</h2>
      <p>{topic.closed ? 'Closed: publishing is refused, and readers are told that nothing follows.' : 'Open: it takes events. A closed topic refuses them, and its streams end after the last one.'}</p>
      {mayAdmin() && (
        <div class="row">
          {topic.closed ? (
            <button type="button" disabled={action.busy} onClick={() => put(false)}>
              Reopen
            </button>
          ) : (
            <button type="button" onClick={() => setAsking(true)}>
              Close the topic…
            </button>
          )}
        </div>
      )}
      {!asking && action.error && <Refusal error={action.error} />}
      {asking && (
        <Dialog title="Close the topic?" onClose={() => setAsking(false)}>
          <p>Publishing will be refused. {ends(topic.subscribers)} Its events stay, and it can be reopened.</p>
          {action.error && <Refusal error={action.error} />}
          <div class="row end">
            <button type="button" onClick={() => setAsking(false)}>
              Leave it open
            </button>
            <button type="button" class="danger" disabled={action.busy} onClick={() => put(true)}>
              Close the topic
            </button>
          </div>
        </Dialog>
      )}
    </section>
  );
}
