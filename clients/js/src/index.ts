/** The client of gapless, an event hub with durable replay. */
export { type HubOptions, NetworkError, type Token } from './hub.js';
export { type EndItem, type EventItem, type GapItem, type Item, type RemovedItem } from './items.js';
export { HubProblem, PublishUncertain } from './problem.js';
export {
  type BatchOptions,
  type Data,
  type Envelope,
  type PublishOptions,
  type Receipt,
  publish,
  publishBatch,
} from './publish.js';
export { type PublishStream, type StreamOptions, stream } from './stream.js';
export {
  type Consumer,
  type CursorStore,
  type Running,
  type Status,
  type SubscribeOptions,
  type Subscription,
  subscribe,
} from './subscribe.js';
