import './topics.css';
import './topic.css';
import { route } from '../../router';
import { TopicList } from './topic-list';
import { TopicPage } from './topic-page';

/** The list of topics, or the page of the topic that the address names. */
export function TopicsView() {
  const { rest } = route.value;
  return rest ? <TopicPage key={rest} topic={rest} /> : <TopicList />;
}
