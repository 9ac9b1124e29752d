//! Batches events that are published one by one: what the tasks of a shard publish during one turn of its event loop goes
//! to the engine as one append.
//!
//! So a turn costs one entry in the engine's queue, one wake of the writer and one wake back, however many tasks
//! publish. No event waits for others: those that are there when the turn ends are submitted at once.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    task::{Context, Poll, Waker},
};

use tokio::sync::oneshot;

use super::{Hub, PublishResult};
use crate::{
    engine::{AppendError, EngineFuture, Rejected},
    event::NewEvent,
};

/// Bytes of data in one append at most: a quarter of what the engine groups into one commit. A larger event goes alone.
const BATCH_BYTES: usize = 256 << 10;

/// A shard's events on their way to the engine. Bounded by the shard's tasks, each of which waits for one event, and by
/// the memory that its protocol has for events.
#[derive(Debug, Default)]
pub(super) struct Batcher(RefCell<BatcherState>);

#[derive(Debug, Default)]
struct BatcherState {
    events: Vec<NewEvent>,
    replies: Vec<ReceiptSender>,
    waker: Option<Waker>,
}

type ReceiptSender = oneshot::Sender<PublishResult>;

/// Appends that the engine has accepted, each with the senders of its receipts. The engine completes them in order.
type InFlight = VecDeque<(EngineFuture<Vec<PublishResult>, AppendError>, Vec<ReceiptSender>)>;

impl Batcher {
    /// Appends `event`; returns when it is durable and in the rings of the live streams. [`Batcher::run`] must be
    /// running. Dropping the future does not cancel the append.
    ///
    /// # Errors
    /// Says why the event was not appended.
    pub(super) async fn publish(&self, event: NewEvent) -> PublishResult {
        let (reply, response) = oneshot::channel();
        let waker = {
            let mut state = self.0.borrow_mut();
            state.events.push(event);
            state.replies.push(reply);
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
            poll_in_flight(&mut in_flight, cx);
            Poll::Pending
        })
        .await;
    }

    fn submit(&self, hub: &Hub, in_flight: &mut InFlight, cx: &Context<'_>) {
        let mut state = self.0.borrow_mut();
        state.waker = Some(cx.waker().clone());
        while !state.events.is_empty() {
            let mut bytes = 0;
            let within = |event: &&NewEvent| {
                bytes += event.data.len();
                bytes <= BATCH_BYTES
            };
            let count = state.events.iter().take_while(within).count().max(1);
            let events = take_first(&mut state.events, count);
            let replies = take_first(&mut state.replies, count);
            match hub.publish_each(events) {
                Ok(response) => in_flight.push_back((response, replies)),
                Err(Rejected { error, .. }) => send_replies(replies, || Err(error.clone())),
            }
        }
    }
}

/// Takes the first `count` out of `all`.
fn take_first<T>(all: &mut Vec<T>, count: usize) -> Vec<T> {
    if count == all.len() { std::mem::take(all) } else { all.drain(..count).collect() }
}

/// Hands out the results of the appends that have completed.
fn poll_in_flight(in_flight: &mut InFlight, cx: &mut Context<'_>) {
    while let Some((response, _)) = in_flight.front_mut() {
        let Poll::Ready(result) = response.as_mut().poll(cx) else { return };
        let (_, replies) = in_flight.pop_front().expect("just seen");
        match result {
            Ok(all) => {
                let mut all = all.into_iter();
                send_replies(replies, || all.next().expect("a result for each event"));
            }
            Err(error) => send_replies(replies, || Err(error.clone())),
        }
    }
}

fn send_replies(replies: Vec<ReceiptSender>, mut next_result: impl FnMut() -> PublishResult) {
    for reply in replies {
        drop(reply.send(next_result())); // the request may have been dropped
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

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
