import { useState } from 'preact/hooks';
import { bytes, plural } from '../../format';
import { deleteTopic } from '../../hub/topics';
import type { Topic } from '../../hub/types';
import { href, navigate } from '../../router';
import { visible } from '../../text';
import { Dialog } from '../../ui/dialog';
import { Refusal } from '../../ui/note';
import { toast } from '../../ui/toasts';
import { useAction } from './action';
import { ends } from './words';

export function DeleteTopic({ topic }: { topic: Topic }) {
  const [asking, setAsking] = useState(false);
  return (
    <>
      <button type="button" class="danger" onClick={() => setAsking(true)}>
        Delete…
      </button>
      {asking && <Confirm topic={topic} onClose={() => setAsking(false)} />}
    </>
  );
}

function Confirm({ topic, onClose }: { topic: Topic; onClose(): void }) {
  const [typed, setTyped] = useState('');
  const action = useAction();
  const remove = (event: Event) => {
    event.preventDefault();
    if (typed !== topic.topic) return;
    action.run(async () => {
      await deleteTopic(topic.topic);
      toast('good', 'Deleted', visible(topic.topic));
      navigate(href('topics'));
    });
  };
  return (
    <Dialog title="Delete the topic?" onClose={onClose}>
      <p>
        {plural(topic.events, 'event')} ({bytes(topic.bytes)}) and the settings of <strong class="foreign">{visible(topic.topic)}</strong> are deleted for good. {ends(topic.subscribers)}
      </p>
      <form class="topic-publish-form" onSubmit={remove}>
        <label class="field">
          Type the topic’s name to delete it
          <input autofocus spellcheck={false} autocapitalize="off" autocomplete="off" value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
        </label>
        {action.error && <Refusal error={action.error} />}
        <div class="row end">
          <button type="button" onClick={onClose}>
            Keep it
          </button>
          <button class="danger" disabled={typed !== topic.topic || action.busy}>
            Delete the topic
          </button>
        </div>
      </form>
    </Dialog>
  );
}
