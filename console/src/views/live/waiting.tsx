// What stands where events will be.
import { useState } from 'preact/hooks';
import { plural } from '../../format';
import { mayPublish, maySubscribe, maySubscribeSomewhere } from '../../hub/access';
import { Publisher, publishCommand } from '../../hub/events';
import { exampleOf, isPattern } from '../../hub/pattern';
import { listTopics } from '../../hub/topics';
import { href } from '../../router';
import { visible } from '../../text';
import { Command } from '../../ui/copy';
import { Empty } from '../../ui/empty';
import { Note, Refusal } from '../../ui/note';
import { useResource } from '../../ui/resource';
import { token } from '../../hub/credential';
import { askForToken } from '../../ui/token-dialog';
import type { Watch } from './watch';

/** Topics that are proposed. */
const PROPOSED = 12;

/** Before anything is watched. */
export function Intro({ first, to }: { first: string; to(topic: string): string }) {
  const { value } = useResource((signal) => listTopics({ search: '', after: null, limit: PROPOSED }, signal), []);
  if (!maySubscribeSomewhere()) return <NothingToWatch />;
  const topics = value?.topics.filter(({ topic }) => maySubscribe(topic)) ?? [];
  return (
    <Empty title="See events as they come">
      <p>
        Name a topic above, or a pattern: <code>jobs/*</code> is each topic one level below <code>jobs</code>, <code>jobs/**</code> all of them. What
        the hub keeps is replayed first; then events appear as they are published.
      </p>
      {topics.length > 0 && (
        <>
          <h3>Topics of this hub</h3>
          <ul class="live-proposed">
            {topics.map(({ topic, events }) => (
              <li key={topic}>
                <a href={to(topic)}>
                  <span class="foreign">{visible(topic)}</span> <span class="muted">{plural(events, 'event')}</span>
                </a>
              </li>
            ))}
          </ul>
          {value?.next && <a href={href('topics')}>The whole list</a>}
        </>
      )}
      <div class="row">
        <a class="button" href={to(first)}>
          Watch {isPattern(first) ? 'the pattern' : 'the topic'} {visible(first)}
        </a>
      </div>
    </Empty>
  );
}

/** Nothing of the hub may be watched with this token, or without one. */
function NothingToWatch() {
  const held = token() !== null;
  return (
    <Empty title={held ? 'This token may not watch anything' : 'This hub asks for a token'}>
      <p>
        {held
          ? 'It was made without topics to subscribe to. Ask whoever operates the hub for another one.'
          : 'A token says which topics you may watch and publish to. You get one from whoever operates the hub. It stays in this tab.'}
      </p>
      <div class="row">
        <button type="button" class="main" onClick={askForToken}>
          {held ? 'Sign in with another' : 'Sign in'}
        </button>
      </div>
    </Empty>
  );
}

/** A stream without an event so far. */
export function NoEvents({ watch }: { watch: Watch }) {
  const state = watch.state.value;
  const filter = watch.selection.value?.topic ?? '';
  const topic = exampleOf(filter);
  if (state.name === 'refused') return <Refusal error={state.error} retry={() => watch.again()} />;
  if (state.name === 'ended') {
    return (
      <Empty title={`No event of ${visible(filter)} to show`}>
        <p>The topic is closed: it accepts no more events, and it has none after the place where you began. “From” the oldest kept event shows what is kept.</p>
      </Empty>
    );
  }
  if (state.name !== 'live') return <Empty title={`Connecting to ${visible(filter)}`} />;
  return (
    <Empty title={`No event of ${visible(filter)} yet`}>
      {mayPublish(topic) ? (
        <>
          <p>Publish one: it is on disk before anyone sees it, and then here at once.</p>
          <First topic={topic} />
          <p>Or from a terminal:</p>
          <Command>{publishCommand(topic)}</Command>
        </>
      ) : (
        <p>Events appear here as soon as they are published{isPattern(filter) && ' to a topic that the pattern matches'}.</p>
      )}
    </Empty>
  );
}

function First({ topic }: { topic: string }) {
  const [publisher] = useState(() => new Publisher());
  const [said, setSaid] = useState<string | null>(null);
  const publish = async () => {
    const outcome = await publisher.publish({ topic, event: '', data: 'Hello', close: false });
    if (outcome.kind !== 'published') setSaid(outcome.kind === 'refused' ? outcome.error.detail : `It is not known whether it was published: ${outcome.why}.`);
  };
  return (
    <>
      <div class="row">
        <button type="button" class="main" onClick={() => void publish()}>
          Publish “Hello” to {visible(topic)}
        </button>
      </div>
      {said && <Note kind="bad">{said}</Note>}
    </>
  );
}
