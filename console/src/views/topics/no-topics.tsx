import { mayPublish, mayPublishSomewhere, maySubscribe, maySubscribeSomewhere, topicToTry } from '../../hub/access';
import { publishCommand } from '../../hub/events';
import { href, navigate } from '../../router';
import { visible } from '../../text';
import { Command } from '../../ui/copy';
import { Empty } from '../../ui/empty';
import { PublishForm } from './publish-form';

/** No topic at all: how the first one comes to be. */
export function NoTopics() {
  if (!mayPublishSomewhere()) {
    return (
      <Empty title="No topics">
        <p>Nothing has been published that you may read, and this token may not publish.</p>
      </Empty>
    );
  }
  return (
    <div class="topics-first">
      <Empty title={maySubscribeSomewhere() ? 'No topics yet' : 'No topics to show'}>
        {!maySubscribeSomewhere() && <p>This token may publish, but not read: topics are listed only to those who may read them.</p>}
        <p>A topic is a named log of events. It is there as soon as the first event is published to it. Run this in a terminal:</p>
        <Command>{publishCommand(topicToTry())}</Command>
        <p class="muted">Names may have parts with slashes between them, such as jobs/42/log. Whoever watches jobs/** receives the events of all of them.</p>
      </Empty>
      <section class="card" aria-labelledby="first-event">
        <h2 id="first-event">Or publish it here</h2>
        <PublishForm start={{ topic: topicToTry(), data: 'Hello' }} onPublished={({ topic }) => maySubscribe(topic) && navigate(href('topics', topic))} />
      </section>
    </div>
  );
}

export function NothingFound({ search }: { search: string }) {
  const name = search.trim();
  return (
    <Empty title="Nothing found">
      <p>
        No topic has <strong class="foreign">{visible(search)}</strong> in its name. Large and small letters from A to Z are the same here.
      </p>
      <div class="row">
        <a class="button" href={href('topics')}>
          Show the whole list
        </a>
        {name && !name.includes('*') && mayPublish(name) && (
          <a class="button" href={href('topics', name)}>
            <span>
              Begin the topic <span class="foreign">{visible(name)}</span>
            </span>
          </a>
        )}
      </div>
    </Empty>
  );
}
