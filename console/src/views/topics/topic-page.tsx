import { useEffect } from 'preact/hooks';
import { title } from '../../app';
import { mayAdmin, mayPublish, maySubscribe } from '../../hub/access';
import { publishCommand } from '../../hub/events';
import { readTopic } from '../../hub/topics';
import type { Topic } from '../../hub/types';
import { href } from '../../router';
import { visible } from '../../text';
import { Command } from '../../ui/copy';
import { Empty } from '../../ui/empty';
import { Note, Refusal } from '../../ui/note';
import { type Resource, useResource } from '../../ui/resource';
import { DeleteTopic } from './delete-topic';
import { Numbers } from './numbers';
import { PublishForm } from './publish-form';
import { Settings } from './settings';
import { TopicEvents } from './topic-events';

/** How often the numbers are read again, in milliseconds. */
const REFRESH = 2500;

/** One topic: its numbers, its events, its settings; and publishing to it. */
export function TopicPage({ topic }: { topic: string }) {
  const state = useResource((signal) => readTopic(topic, signal), [topic], REFRESH);
  useEffect(() => {
    title(visible(topic));
    scrollTo(0, 0);
  }, [topic]);
  const unknown = state.error?.code === 'topic-unknown';
  return (
    <>
      <div class="topic-head">
        <div>
          <a class="topic-up" href={href('topics')}>
            ← The whole list
          </a>
          <h1 class="foreign">
            {visible(topic)}
            {state.value?.closed && !unknown && (
              <span class="badge" data-tone="warn">
                closed
              </span>
            )}
          </h1>
        </div>
        <div class="row">
          {maySubscribe(topic) && (
            <a class="button" href={href('live', '', { topic, from: state.value?.events ? 'last:100' : 'earliest' })}>
              Watch
            </a>
          )}
          {mayAdmin() && state.value && !unknown && <DeleteTopic topic={state.value} />}
        </div>
      </div>
      {state.error && !unknown && <Refusal error={state.error} retry={state.reload} />}
      {unknown ? <Unused topic={topic} onPublished={state.reload} /> : state.value ? <Body topic={state.value} state={state} /> : !state.error && <p class="muted">Loading…</p>}
    </>
  );
}

function Body({ topic, state }: { topic: Topic; state: Resource<Topic> }) {
  return (
    <>
      <Numbers topic={topic} />
      <div class="topic-body">
        <section class="card topic-publish" aria-labelledby="topic-publish">
          <h2 id="topic-publish">Publish</h2>
          {topic.closed ? (
            <Note kind="info">
              <p>The topic is closed: it takes no more events.{mayAdmin() && ' Below, under “Closing”, it can be reopened.'}</p>
            </Note>
          ) : mayPublish(topic.topic) ? (
            <PublishForm topic={topic.topic} away={state.error?.status === 0} onPublished={state.reload} />
          ) : (
            <p class="muted">Your token may not publish to this topic.</p>
          )}
        </section>
        <section class="topic-events" aria-labelledby="topic-events">
          {maySubscribe(topic.topic) ? (
            <TopicEvents topic={topic} onChanged={state.reload} />
          ) : (
            <Note kind="info">
              <p>Your token may publish to this topic, and may not read its events.</p>
            </Note>
          )}
        </section>
        <Settings topic={topic} onChanged={state.reload} />
      </div>
    </>
  );
}

/** The name of a topic that nobody has used, or that was deleted. */
function Unused({ topic, onPublished }: { topic: string; onPublished(): void }) {
  if (!mayPublish(topic)) {
    return (
      <Empty title="There is no such topic">
        <p>Nothing has been published to it, or it was deleted.</p>
      </Empty>
    );
  }
  return (
    <div class="topics-first">
      <Empty title="There is no such topic yet">
        <p>Nothing has been published to it, or it was deleted. It is there as soon as an event is published:</p>
        <Command>{publishCommand(topic)}</Command>
      </Empty>
      <section class="card" aria-labelledby="first-event">
        <h2 id="first-event">Or publish it here</h2>
        <PublishForm topic={topic} start={{ data: 'Hello' }} onPublished={onPublished} />
      </section>
    </div>
  );
}
