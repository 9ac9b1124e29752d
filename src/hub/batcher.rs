//! The hand-over between the publishers of a shard and the engine's writer: what the tasks of a shard publish during one
//! turn of its event loop goes to the engine at the end of the turn, and the answers come back through one task.
//!
//! Events that are published one by one become one append, so that a turn costs one entry in the engine's queue, one
//! wake of the writer and one wake back, however many tasks publish. An append of several events, or with a key or a
//! condition, has an entry of its own. No event waits for others: those that are there when the turn ends are submitted
//! at once.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    mem,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use tokio::sync::oneshot;

use super::{Acknowledgment, Hub, PublishResult};
use crate::{
    engine::{Append, AppendError, AppendResult, EngineFuture, Rejected},
    event::NewEvent,
};

/// Bytes of data in one append of single events at most: a quarter of what the engine groups into one commit. A larger
/// event goes alone. Their number is bounded by what the engine takes at once.
const BATCH_BYTES: usize = 256 << 10;

/// A shard's events on their way to the engine. Bounded by the shard's tasks, each of which waits for one append, and by
/// the memory that its protocol has for events.
#[derive(Debug, Default)]
pub(super) struct Batcher(RefCell<BatcherState>);

/// What was published since the last turn.
#[derive(Debug, Default)]
struct BatcherState {
    events: Vec<NewEvent>,
    replies: Vec<Reply<Acknowledgment>>,
    appends: Vec<(Append, Reply<Vec<Acknowledgment>>)>,
    waker: Option<Waker>,
}

type Reply<T> = oneshot::Sender<Result<T, AppendError>>;

/// What the engine has accepted: each future waits for one answer and passes it to its publishers. Only the first is
/// polled, so that a commit wakes the shard once: the engine answers the appends of a commit together, those of the next
/// commit later. One that answered in another order would delay answers, and lose none.
type InFlight<'a> = VecDeque<Pin<Box<dyn Future<Output = ()> + 'a>>>;

impl Batcher {
    /// Appends `event`; returns when it is durable and in the rings of the live streams. [`Batcher::run`] must be
    /// running. Dropping the future does not cancel the append.
    ///
    /// # Errors
    /// Says why the event was not appended.
    pub(super) async fn publish(&self, event: NewEvent) -> PublishResult {
        let add = |state: &mut BatcherState, reply| {
            state.events.push(event);
            state.replies.push(reply);
        };
        self.hand_in(add).await
    }

    /// The same for all events of `append`, in one commit or none.
    ///
    /// # Errors
    /// Says why nothing was appended.
    pub(super) async fn append(&self, append: Append) -> Result<Vec<Acknowledgment>, AppendError> {
        self.hand_in(|state, reply| state.appends.push((append, reply))).await
    }

    async fn hand_in<T>(&self, add: impl FnOnce(&mut BatcherState, Reply<T>)) -> Result<T, AppendError> {
        let (reply, response) = oneshot::channel();
        let waker = {
            let mut state = self.0.borrow_mut();
            add(&mut state, reply);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        response.await.unwrap_or_else(|_| Err(AppendError::Unavailable { reason: "the shard has stopped".into() }))
    }

    /// Submits events to the engine and hands out its receipts. Never returns.
    pub(super) async fn run(&self, hub: &Hub) {
        let mut in_flight = InFlight::new();
        poll_fn::<(), _>(|cx| {
            self.submit(hub, &mut in_flight, cx);
            while let Some(first) = in_flight.front_mut()
                && first.as_mut().poll(cx).is_ready()
            {
                in_flight.pop_front();
            }
            Poll::Pending
        })
        .await;
    }

    fn submit<'a>(&self, hub: &'a Hub, in_flight: &mut InFlight<'a>, cx: &Context<'_>) {
        let mut state = self.0.borrow_mut();
        state.waker = Some(cx.waker().clone());
        while !state.events.is_empty() {
            let mut bytes = 0;
            let within = |event: &&NewEvent| {
                bytes += event.payload_bytes();
                bytes <= BATCH_BYTES
            };
            let count = state.events.iter().take(hub.max_batch()).take_while(within).count().max(1);
            let events = take_first(&mut state.events, count);
            let replies = take_first(&mut state.replies, count);
            match hub.engine.append_each(events) {
                Ok(answer) => in_flight.push_back(Box::pin(acknowledge_each(hub, answer, replies))),
                Err(Rejected { error, .. }) => refuse_all(replies, &error),
            }
        }
        for (append, reply) in state.appends.drain(..) {
            let mut appending = Box::pin(async move { send(reply, hub.publish(append).await) });
            // The first poll submits it. A refusal is there at once, and does not wait for the answers before it.
            if appending.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                in_flight.push_back(appending);
            }
        }
    }
}

/// Takes the first `count` out of `all`.
fn take_first<T>(all: &mut Vec<T>, count: usize) -> Vec<T> {
    if count == all.len() { mem::take(all) } else { all.drain(..count).collect() }
}

async fn acknowledge_each(
    hub: &Hub,
    answer: EngineFuture<Vec<AppendResult>, AppendError>,
    replies: Vec<Reply<Acknowledgment>>,
) {
    match answer.await {
        Ok(results) => {
            debug_assert_eq!(results.len(), replies.len(), "a result for each event");
            let mut acknowledge = hub.broker.acknowledge();
            for (reply, result) in replies.into_iter().zip(results) {
                send(reply, result.map(&mut acknowledge));
            }
        }
        Err(error) => refuse_all(replies, &error),
    }
}

fn refuse_all<T>(replies: Vec<Reply<T>>, error: &AppendError) {
    for reply in replies {
        send(reply, Err(error.clone()));
    }
}

fn send<T>(reply: Reply<T>, result: Result<T, AppendError>) {
    drop(reply.send(result)); // the request may have been dropped
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc, sync::Arc, time::Duration};

    use tokio::task::{LocalSet, spawn_local};

    use super::*;
    use crate::{
        engine::{
            log::{LogConfig, LogEngine},
            memory::MemoryStore,
        },
        event::TopicName,
        hub::{HubConfig, broker::Broker},
    };

    fn hub_over(config: LogConfig) -> (Arc<Hub>, MemoryStore) {
        let (of_hub, store) = (HubConfig::fixture(), MemoryStore::new());
        let broker = Broker::new(1, &of_hub);
        let engine = LogEngine::open(store.clone(), config, Arc::clone(&broker) as _);
        (Hub::new(engine, broker, of_hub), store)
    }

    fn event(topic: &str, data: &str) -> NewEvent {
        NewEvent::new(TopicName::new(topic).expect("valid"), data)
    }

    /// The output of `publishing` while the batcher runs.
    async fn while_running<T>(batcher: &Batcher, hub: &Hub, publishing: impl Future<Output = T>) -> T {
        let within = tokio::time::timeout(Duration::from_secs(10), publishing);
        tokio::select! {
            () = batcher.run(hub) => unreachable!("it never ends"),
            result = within => result.expect("it ends"),
        }
    }

    #[tokio::test]
    async fn events_of_one_turn_share_a_flush_and_each_gets_its_own_receipt() {
        // With this limit only one append can put more than one event into a commit.
        let (hub, store) = hub_over(LogConfig { group_events: 1, ..LogConfig::fixture() });
        let batcher = Batcher::default();
        let publish = |n: usize| batcher.publish(event(&format!("t/{n}"), "x"));
        let all = all_of((0..100).map(publish));
        for (n, receipt) in while_running(&batcher, &hub, all).await.into_iter().enumerate() {
            assert_eq!(receipt.expect("published").receipt.topic.as_str(), format!("t/{n}"));
        }
        assert_eq!(store.faults().writes(), 1);
    }

    #[tokio::test]
    async fn a_refused_event_does_not_affect_the_others_of_its_batch() {
        let (hub, _) = hub_over(LogConfig::fixture());
        let batcher = Batcher::default();
        let last = NewEvent { close: true, ..event("a", "bye") };
        let publishing = all_of([last, event("a", "late"), event("b", "x")].map(|event| batcher.publish(event)));
        let results = while_running(&batcher, &hub, publishing).await;
        assert!(matches!(&results[..], [Ok(_), Err(AppendError::Closed { .. }), Ok(_)]), "{results:?}");
    }

    #[tokio::test]
    async fn large_events_go_in_several_batches_and_a_full_queue_refuses_what_it_cannot_take() {
        let (hub, store) = hub_over(LogConfig { queue_bytes: 400 << 10, ..LogConfig::fixture() });
        let batcher = Batcher::default();
        store.faults().hold();
        let large = "x".repeat(100 << 10);
        let publishing = all_of((0..5).map(|_| batcher.publish(event("a", &large))));
        let release = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            store.faults().release();
        };
        let (results, ()) = while_running(&batcher, &hub, async { tokio::join!(publishing, release) }).await;
        let taken = results.iter().filter(|result| result.is_ok()).count();
        let busy = results.iter().filter(|result| matches!(result, Err(AppendError::Busy))).count();
        assert_eq!((taken, busy), (3, 2), "two, then two that the queue has no room for, then one");
    }

    #[tokio::test]
    async fn an_event_is_published_although_its_request_is_dropped() {
        let (hub, _) = hub_over(LogConfig::fixture());
        let batcher = Batcher::default();
        let publishing = async {
            let mut gone = Box::pin(batcher.publish(event("a", "1")));
            let handed_in = poll_fn(|cx| Poll::Ready(gone.as_mut().poll(cx).is_pending())).await;
            assert!(handed_in);
            drop(gone);
            batcher.publish(event("b", "2")).await
        };
        let second = while_running(&batcher, &hub, publishing).await.expect("published");
        assert_eq!(second.receipt.seq.0, 2);
    }

    /// Two events for one commit.
    fn two(data: &str) -> Append {
        Append { events: vec![event("a", data), event("b", data)], expect: None, key: None }
    }

    #[tokio::test]
    async fn a_commit_wakes_the_shard_once_however_many_appends_it_has() {
        // Several rounds, because a writer that wakes more often may by chance be done before the shard runs.
        for _ in 0..20 {
            let (hub, store) = hub_over(LogConfig::fixture());
            let (batcher, polls) = (Rc::new(Batcher::default()), Rc::new(Cell::new(0)));
            let (running, counted) = (Rc::clone(&batcher), Rc::clone(&polls));
            let publishing = async {
                store.faults().hold();
                let mut run = Box::pin(async move { running.run(&hub).await });
                let counting = spawn_local(poll_fn(move |cx| {
                    counted.set(counted.get() + 1);
                    run.as_mut().poll(cx)
                }));
                let append = || {
                    let batcher = Rc::clone(&batcher);
                    spawn_local(async move { batcher.append(two("x")).await })
                };
                // Fewer than tokio lets a task take at once.
                let all: Vec<_> = (0..100).map(|_| append()).collect();
                while polls.get() < 2 {
                    tokio::task::yield_now().await; // at the second poll it submits them
                }
                store.faults().release();
                for one in all {
                    assert_eq!(one.await.expect("no panic").expect("published").len(), 2);
                }
                counting.abort();
                polls.get() - 2
            };
            let woken = LocalSet::new().run_until(publishing).await;
            // What the writer found when it looked, and the rest.
            assert!(store.faults().writes() <= 2);
            assert!(woken <= 2, "{woken}");
        }
    }

    #[tokio::test]
    async fn a_refused_append_does_not_wait_for_the_answers_before_it() {
        let (hub, store) = hub_over(LogConfig { queue_bytes: 400 << 10, ..LogConfig::fixture() });
        let batcher = Batcher::default();
        store.faults().hold();
        let large = "x".repeat(100 << 10);
        let first = batcher.append(two(&large));
        let second = async {
            let refused = tokio::time::timeout(Duration::from_secs(5), batcher.append(two(&large))).await;
            store.faults().release();
            refused.expect("at once")
        };
        let (first, second) = while_running(&batcher, &hub, async { tokio::join!(first, second) }).await;
        assert_eq!(first.map(|all| all.len()), Ok(2));
        assert_eq!(second, Err(AppendError::Busy));
    }

    async fn all_of<F: Future>(all: impl IntoIterator<Item = F>) -> Vec<F::Output> {
        let mut all: Vec<_> = all.into_iter().map(|one| (Box::pin(one), None)).collect();
        poll_fn::<(), _>(|cx| {
            for (one, done) in &mut all {
                if done.is_none()
                    && let Poll::Ready(output) = one.as_mut().poll(cx)
                {
                    *done = Some(output);
                }
            }
            if all.iter().all(|(_, done)| done.is_some()) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        all.into_iter().map(|(_, done)| done.expect("all are done")).collect()
    }
}
