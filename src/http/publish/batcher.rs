//! Events that come one a request: those that a core's connections hand in during one turn go to the engine as one.
//!
//! So a turn costs one place in the engine's queue, one wake of the writer and one wake back, whoever many connections
//! publish. Nothing waits for company: what is there when the turn ends goes at once.
//!
//! What is the same from one publish to the next, whoever's, is kept here as well.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    task::{Context, Poll, Waker},
};

use http::request::Parts;
use tokio::sync::oneshot;

use super::{
    interner::TopicInterner,
    options::PublishOptions,
    receipt::{RECEIPT_BYTES, ReceiptWriter},
};
use crate::{
    engine::{AppendError, AppendResult, EngineFuture, Receipt, Rejected},
    event::{Epoch, NewEvent},
    http::problem::Problem,
    hub::Hub,
};

/// Bytes of data that go to the engine together: a quarter of what it puts into one commit by itself.
const BATCH_BYTES: usize = 256 << 10;

/// Events of a core on their way to the engine. Bounded by the core's connections, each of which waits for one, and by
/// the bytes of all bodies in memory.
#[derive(Debug)]
pub struct Batcher {
    state: RefCell<BatcherState>,
    interner: RefCell<TopicInterner>,
    receipts: RefCell<ReceiptWriter>,
}

#[derive(Debug, Default)]
struct BatcherState {
    events: Vec<NewEvent>,
    replies: Vec<ReceiptSender>,
    run: Option<Waker>,
}

type ReceiptSender = oneshot::Sender<AppendResult>;

/// What the engine was given, and who waits for it. The engine answers in the order in which it was asked.
type InFlight = VecDeque<(EngineFuture<Vec<AppendResult>, AppendError>, Vec<ReceiptSender>)>;

impl Batcher {
    /// For a core of the hub whose ids have this epoch.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        Self { state: RefCell::default(), interner: RefCell::default(), receipts: ReceiptWriter::new(epoch).into() }
    }

    /// What a request asks for.
    pub(super) fn options(&self, head: &Parts) -> Result<PublishOptions, Problem> {
        PublishOptions::new(head, &mut self.interner.borrow_mut())
    }

    /// A receipt as JSON.
    pub(super) fn receipt(&self, receipt: &Receipt) -> Vec<u8> {
        let mut json = Vec::with_capacity(RECEIPT_BYTES);
        self.receipts.borrow_mut().put(&mut json, receipt);
        json
    }

    /// Appends `event`; answers when it is durable and handed to every live stream. [`Batcher::run`] must be running.
    /// Dropping it cancels nothing.
    ///
    /// # Errors
    /// Says why it was not appended.
    pub async fn publish(&self, event: NewEvent) -> Result<Receipt, AppendError> {
        let (reply, response) = oneshot::channel();
        let run = {
            let mut state = self.state.borrow_mut();
            state.events.push(event);
            state.replies.push(reply);
            state.run.take()
        };
        if let Some(run) = run {
            run.wake();
        }
        response.await.unwrap_or_else(|_| Err(AppendError::Unavailable { reason: "the core has ended".into() }))
    }

    /// Hands events to the engine and its answers to whoever waits. Never ends.
    pub async fn run(&self, hub: &Hub) {
        let mut under_way = InFlight::new();
        poll_fn::<(), _>(|cx| {
            self.submit(hub, &mut under_way, cx);
            response(&mut under_way, cx);
            Poll::Pending
        })
        .await;
    }

    fn submit(&self, hub: &Hub, under_way: &mut InFlight, cx: &Context<'_>) {
        let mut state = self.state.borrow_mut();
        state.run = Some(cx.waker().clone());
        while !state.events.is_empty() {
            let mut bytes = 0;
            let within = |event: &&NewEvent| {
                bytes += event.data.len();
                bytes <= BATCH_BYTES
            };
            let count = state.events.iter().take_while(within).count().max(1);
            let events = drain(&mut state.events, count);
            let replies = drain(&mut state.replies, count);
            match hub.publish_each(events) {
                Ok(response) => under_way.push_back((response, replies)),
                Err(Rejected { error, .. }) => tell(replies, || Err(error.clone())),
            }
        }
    }
}

/// The first `count` of `all`.
fn drain<T>(all: &mut Vec<T>, count: usize) -> Vec<T> {
    if count == all.len() { std::mem::take(all) } else { all.drain(..count).collect() }
}

/// Hands out what the engine has answered.
fn response(under_way: &mut InFlight, cx: &mut Context<'_>) {
    while let Some((response, _)) = under_way.front_mut() {
        let Poll::Ready(result) = response.as_mut().poll(cx) else { return };
        let (_, replies) = under_way.pop_front().expect("just seen");
        match result {
            Ok(all) => {
                let mut all = all.into_iter();
                tell(replies, || all.next().expect("a result for each event"));
            }
            Err(error) => tell(replies, || Err(error.clone())),
        }
    }
}

fn tell(replies: Vec<ReceiptSender>, mut appended: impl FnMut() -> AppendResult) {
    for reply in replies {
        drop(reply.send(appended())); // whoever asked may have gone
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        engine::log::LogConfig,
        event::TopicName,
        http::testing::{app, door_over},
    };

    fn event(topic: &str, data: &str) -> NewEvent {
        NewEvent::new(TopicName::new(topic).expect("valid"), data)
    }

    /// What `asked` comes to while the core runs.
    async fn while_running<T>(batcher: &Batcher, hub: &Hub, asked: impl Future<Output = T>) -> T {
        let within = tokio::time::timeout(Duration::from_secs(10), asked);
        tokio::select! {
            () = batcher.run(hub) => unreachable!("it never ends"),
            result = within => result.expect("it ends"),
        }
    }

    #[tokio::test]
    async fn what_is_handed_in_together_shares_a_flush_and_each_gets_its_own_receipt() {
        // Only what comes as one append is more than one event in a commit.
        let (app, store) = door_over(LogConfig { group_events: 1, ..LogConfig::default() });
        let batcher = Batcher::new(app.hub.epoch());
        let publish = |n: usize| batcher.publish(event(&format!("t/{n}"), "x"));
        let all = all_of((0..100).map(publish));
        for (n, receipt) in while_running(&batcher, &app.hub, all).await.into_iter().enumerate() {
            assert_eq!(receipt.expect("published").topic.as_str(), format!("t/{n}"));
        }
        assert_eq!(store.faults().writes(), 1);
    }

    #[tokio::test]
    async fn one_that_is_refused_refuses_no_other() {
        let (app, _) = app();
        let batcher = Batcher::new(app.hub.epoch());
        let last = NewEvent { close: true, ..event("a", "bye") };
        let asked = all_of([last, event("a", "late"), event("b", "x")].map(|event| batcher.publish(event)));
        let results = while_running(&batcher, &app.hub, asked).await;
        assert!(matches!(&results[..], [Ok(_), Err(AppendError::Closed { .. }), Ok(_)]), "{results:?}");
    }

    #[tokio::test]
    async fn large_events_go_in_several_batches_and_a_full_queue_refuses_what_it_cannot_take() {
        let (app, store) = door_over(LogConfig { queue_bytes: 400 << 10, ..LogConfig::default() });
        let batcher = Batcher::new(app.hub.epoch());
        store.faults().hold();
        let large = "x".repeat(100 << 10);
        let asked = all_of((0..5).map(|_| batcher.publish(event("a", &large))));
        let release = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            store.faults().release();
        };
        let (results, ()) = while_running(&batcher, &app.hub, async { tokio::join!(asked, release) }).await;
        let taken = results.iter().filter(|result| result.is_ok()).count();
        let busy = results.iter().filter(|result| matches!(result, Err(AppendError::Busy))).count();
        assert_eq!((taken, busy), (3, 2), "two, then two that find no room, then one");
    }

    #[tokio::test]
    async fn whoever_goes_away_is_published_all_the_same() {
        let (app, _) = app();
        let batcher = Batcher::new(app.hub.epoch());
        let asked = async {
            let mut gone = Box::pin(batcher.publish(event("a", "1")));
            let handed_in = poll_fn(|cx| Poll::Ready(gone.as_mut().poll(cx).is_pending())).await;
            assert!(handed_in);
            drop(gone);
            batcher.publish(event("b", "2")).await
        };
        let second = while_running(&batcher, &app.hub, asked).await.expect("published");
        assert_eq!(second.seq.0, 2);
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
