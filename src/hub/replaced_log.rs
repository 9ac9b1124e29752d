//! A log that is replaced by another one while streams are open. The data of each event names its log, so that an event
//! of one log under an id of the other is found.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{
    Hub, HubConfig,
    batch::ReadLimit,
    broker::Broker,
    subscription::{Delivery, GapReason, GapStart, Start, Subscription},
    testing::ReplaceableLog,
};
use crate::{
    engine::{
        Append, AppendError, Engine, ExpectedLast, TopicChange,
        memory::{InterruptedRead, MemoryStore},
    },
    event::{Epoch, EventId, Filter, NewEvent, Selection, Seq, TopicName, position::Cursor},
};

/// A hub whose first log is `old`.
struct Fixture {
    hub: Arc<Hub>,
    log: Arc<ReplaceableLog>,
    store: MemoryStore,
    old: Epoch,
}

fn fixture() -> Fixture {
    let (store, config) = (MemoryStore::new(), HubConfig::fixture());
    let broker = Broker::new(1, &config);
    let log = Arc::new(ReplaceableLog::new(store.clone(), Arc::clone(&broker)));
    let hub = Hub::new(Arc::clone(&log.engine) as _, broker, config);
    Fixture { old: hub.epoch(), hub, log, store }
}

fn name(topic: &str) -> TopicName {
    TopicName::new(topic).expect("valid")
}

fn append(topic: &str, epoch: Epoch, count: u64) -> Append {
    let events = (0..count).map(|_| NewEvent::new(name(topic), epoch.as_str())).collect();
    Append { events, expect: None, key: None }
}

impl Fixture {
    /// Publishes `count` events that name the current log.
    async fn publish(&self, topic: &str, count: u64) {
        let epoch = self.hub.epoch();
        for one in self.hub.publish(append(topic, epoch, count)).await.expect("appended") {
            assert_eq!(one.receipt.epoch, epoch, "a receipt has the epoch of its commit");
        }
    }

    /// Another log with `count` events of `a`.
    async fn next(&self, count: u64) -> Arc<dyn Engine> {
        let next = self.log.open(MemoryStore::new());
        if count > 0 {
            next.append(append("a", next.epoch(), count)).await.expect("appended");
        }
        next
    }

    fn id(&self, seq: u64) -> EventId {
        EventId { epoch: self.old, seq: Seq(seq) }
    }

    async fn subscribe(&self, topics: &[&str], start: Start, events: usize) -> Subscription {
        let filters = topics.iter().map(|topic| Filter::new(topic).expect("valid"));
        let selection = Selection::new(filters).expect("some");
        self.hub.subscribe(&selection, start, ReadLimit { events, bytes: 1 << 20 }, 0).await.expect("readable")
    }

    fn after(&self, seq: u64) -> Start {
        Start::Cursor(Cursor::new(&self.id(seq).to_string()))
    }

    /// A delivery: ids as `old-1` and `new-1`.
    fn show(&self, delivery: Delivery) -> Vec<String> {
        let shown = |id: EventId| format!("{}-{}", if id.epoch == self.old { "old" } else { "new" }, id.seq);
        match delivery {
            Delivery::Events(batch) => {
                for frame in batch.frames() {
                    assert_eq!(frame.event.new.data.text(), frame.id.epoch.as_str(), "an event under its own id");
                }
                batch.frames().iter().map(|frame| shown(frame.id)).collect()
            }
            Delivery::Gap(gap) => {
                assert!(gap.topic.is_none() && gap.reason == GapReason::Unknown, "{gap:?}");
                let after = gap.after.map(|after| match after {
                    GapStart::Sent(text) => shown(EventId::parse(&text).expect("an id")),
                    GapStart::Reached(id) => shown(id),
                });
                vec![format!("gap after {after:?}, then {:?}", gap.resumes_at.map(shown))]
            }
            Delivery::End(ending) => vec![format!("end {} {}", ending.topic, ending.last)],
            other => vec![format!("{other:?}")],
        }
    }

    /// What is delivered until the subscription has caught up, or is over.
    async fn read(&self, subscription: &mut Subscription) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let next = poll_fn(|cx| match subscription.poll_next(cx) {
                Poll::Pending if subscription.caught_up() => Poll::Ready(None),
                polled => polled.map(Some),
            });
            match tokio::time::timeout(Duration::from_secs(10), next).await.expect("in time") {
                None | Some(Delivery::Finished(_)) => return all,
                Some(delivery) => all.extend(self.show(delivery)),
            }
        }
    }

    /// The next delivery; `None` while there is none.
    fn poll(&self, subscription: &mut Subscription) -> Option<Vec<String>> {
        match subscription.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(delivery) => Some(self.show(delivery)),
            Poll::Pending => None,
        }
    }
}

fn gap(after: Option<&str>, then: Option<&str>) -> String {
    format!("gap after {after:?}, then {then:?}")
}

#[tokio::test]
async fn a_live_stream_is_told_and_goes_on_in_the_new_epoch_and_so_is_its_reconnect() {
    let all = fixture();
    all.publish("a", 5).await;
    let mut live = all.subscribe(&["a"], Start::Now, 100).await;
    all.publish("a", 1).await;
    assert_eq!(all.read(&mut live).await, ["old-6"]);
    all.log.replace(all.next(2).await);
    assert_eq!(live.ring_cursor(), None, "the fan-out may not send for it before it is polled");
    let told = [gap(Some("old-6"), Some("new-1")), "new-1".into(), "new-2".into()];
    assert_eq!(all.read(&mut live).await, told);
    assert_eq!((live.cursor(), live.caught_up()), (all.hub.head(), true));
    all.publish("a", 1).await;
    assert_eq!(all.read(&mut live).await, ["new-3"], "from the ring");
    let mut again = all.subscribe(&["a"], all.after(6), 100).await;
    assert_eq!(all.read(&mut again).await, [&told[..], &["new-3".into()]].concat());
    let mut now = all.subscribe(&["a"], Start::Now, 100).await;
    assert_eq!(all.read(&mut now).await, [""; 0]);
}

#[tokio::test]
async fn a_new_log_that_is_empty_and_one_that_replaces_it_are_told_too() {
    let all = fixture();
    let mut live = all.subscribe(&["a"], Start::Now, 100).await;
    all.publish("a", 9).await;
    all.read(&mut live).await;
    all.log.replace(all.next(0).await);
    assert_eq!(all.read(&mut live).await, [gap(Some("old-9"), None)]);
    all.publish("a", 1).await;
    assert_eq!(all.read(&mut live).await, ["new-1"], "although the cursor was at a higher position");
    all.log.replace(all.next(1).await);
    all.log.replace(all.next(3).await);
    assert_eq!(all.read(&mut live).await, [&gap(Some("new-1"), Some("new-1")), "new-1", "new-2", "new-3"]);
}

#[tokio::test]
async fn a_stream_that_replays_gets_no_more_pages_of_the_old_epoch_also_no_cached_ones() {
    let all = fixture();
    all.publish("a", 8).await;
    let mut first = all.subscribe(&["a"], Start::Earliest, 2).await;
    assert_eq!(all.read(&mut first).await.len(), 8, "all of its pages are cached");
    let mut replaying = all.subscribe(&["a"], Start::Earliest, 2).await;
    assert_eq!(all.poll(&mut replaying), Some(vec!["old-1".into(), "old-2".into()]));
    all.log.replace(all.next(3).await);
    assert_eq!(all.read(&mut replaying).await, [&gap(Some("old-2"), Some("new-1")), "new-1", "new-2", "new-3"]);
    let mut earliest = all.subscribe(&["a"], Start::Earliest, 2).await;
    assert_eq!(all.read(&mut earliest).await, ["new-1", "new-2", "new-3"]);
}

#[tokio::test]
async fn what_waits_in_a_stalled_stream_is_dropped_and_the_gap_is_after_what_was_delivered() {
    let all = fixture();
    for topic in ["a", "b", "b", "a"] {
        all.publish(topic, 1).await;
    }
    let change = TopicChange { max_events: Some(Some(1)), ..TopicChange::default() };
    all.hub.configure(name("b"), change).await.expect("configured");
    while all.hub.measure(&name("b")).await.expect("readable").expect("in use").state.events > 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut stalled = all.subscribe(&["a", "b"], all.after(0), 100).await;
    let first = poll_fn(|cx| stalled.poll_next(cx)).await;
    assert_eq!(all.show(first), ["old-1"], "a gap and two more events are read, and wait");
    all.log.replace(all.next(1).await);
    assert_eq!(all.read(&mut stalled).await, [gap(Some("old-1"), Some("new-1")), "new-1".into()]);
}

/// The positions of the removals of the old log are those of other events in the new one.
#[tokio::test]
async fn a_removal_is_of_one_epoch() {
    let all = fixture();
    all.publish("a", 4).await;
    assert!(all.hub.remove(name("a"), all.id(2)).await.expect("removed"));
    all.log.replace(all.next(4).await);
    assert!(!all.hub.remove(name("a"), all.id(3)).await.expect("an answer"), "an id of the old log");
    let mut stream = all.subscribe(&["a"], Start::Earliest, 2).await;
    assert!(all.hub.remove(name("a"), EventId { seq: Seq(4), ..all.hub.head() }).await.expect("removed"));
    let mut removed = Vec::new();
    for _ in 0..2 {
        let page = poll_fn(|cx| stream.poll_next(cx)).await;
        let Delivery::Events(page) = page else { panic!("{page:?}") };
        removed.extend(page.frames().iter().map(|frame| frame.event.new.name.is_removed()));
    }
    assert_eq!(removed, [false, false, false, true], "that of the old log is not that of the new one's second event");
    let condition = Append { expect: Some(ExpectedLast::Last(all.id(4))), ..append("a", all.old, 1) };
    let refused = all.hub.publish(condition).await;
    assert!(matches!(refused, Err(AppendError::Precondition { last: Some(last) }) if last.epoch != all.old));
}

#[tokio::test]
async fn a_page_whose_read_begins_in_the_old_epoch_and_ends_in_the_new_one_is_not_used() {
    let all = fixture();
    all.publish("a", 6).await;
    let (log, next) = (Arc::clone(&all.log), all.next(2).await);
    let mut stream = all.subscribe(&["a"], all.after(2), 100).await;
    all.store.faults().after_next(InterruptedRead::Events, move || log.replace(next));
    let told = all.read(&mut stream).await;
    assert_eq!(told, [&gap(Some("old-2"), Some("new-1")), "new-1", "new-2"]);
    assert_eq!(all.hub.stats().pages_read.get(), 1, "only the page of the new epoch counts");
}

#[tokio::test]
async fn a_start_that_was_looked_up_in_the_old_log_is_repeated_by_the_gap() {
    let all = fixture();
    all.publish("a", 4).await;
    let kept = Start::Kept(EventId { epoch: all.old, seq: Seq(2) });
    all.log.replace(all.next(1).await);
    let mut stream = all.subscribe(&["a"], kept, 100).await;
    assert_eq!(all.read(&mut stream).await, [&gap(Some("old-2"), Some("new-1")), "new-1"]);
}

/// The positions of both logs are the same, and the new one retains those that the old one has trimmed.
#[tokio::test]
async fn that_the_new_log_retains_a_position_does_not_make_old_events_valid() {
    let all = fixture();
    let _live = all.subscribe(&["a"], Start::Now, 1).await; // so that there is a ring
    all.publish("a", 4).await;
    let mut first = all.subscribe(&["a"], Start::Earliest, 1).await;
    assert_eq!(all.read(&mut first).await.len(), 4, "its pages are cached");
    let mut in_pages = all.subscribe(&["a"], Start::Earliest, 1).await;
    assert_eq!(all.poll(&mut in_pages), Some(vec!["old-1".into()]));
    let mut in_ring = all.subscribe(&["a"], all.after(1), 1).await;
    let one = TopicChange { max_events: Some(Some(1)), ..TopicChange::default() };
    all.hub.configure(name("a"), one).await.expect("configured");
    all.log.answer_from(all.next(4).await);
    assert_eq!(all.poll(&mut in_pages), Some(vec!["old-2".into()]), "looked up before it was trimmed");
    for stream in [&mut in_pages, &mut in_ring] {
        for _ in 0..50 {
            assert_eq!(all.poll(stream), None, "it waits for the broker");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    all.log.report();
    for (stream, after) in [(&mut in_pages, "old-2"), (&mut in_ring, "old-1")] {
        assert_eq!(all.read(stream).await[0], gap(Some(after), Some("new-1")));
    }
}

/// The engine answers from the new log before it tells the broker.
#[tokio::test]
async fn an_answer_of_an_epoch_that_the_broker_has_not_heard_of_waits_for_the_broker() {
    let all = fixture();
    all.publish("a", 4).await;
    all.hub
        .publish(Append {
            events: vec![NewEvent { close: true, ..NewEvent::new(name("b"), "x") }],
            ..append("b", all.old, 0)
        })
        .await
        .expect("appended");
    let mut live = all.subscribe(&["a", "b"], Start::Now, 100).await;
    assert_eq!(all.read(&mut live).await, ["end b 5"]);
    let mut replaying = all.subscribe(&["a"], Start::Earliest, 2).await;
    let next = all.next(1).await;
    let closing = NewEvent { close: true, ..NewEvent::new(name("a"), next.epoch().as_str()) };
    next.append(Append { events: vec![closing], ..append("a", all.old, 0) }).await.expect("appended");
    all.log.answer_from(next);
    let mut resumed = all.subscribe(&["a"], all.after(4), 100).await;
    assert!(!resumed.is_exhausted() && resumed.resumed().is_none(), "no 204");
    let mut early = all.subscribe(&["a"], Start::Earliest, 100).await;
    for stream in [&mut live, &mut replaying, &mut resumed, &mut early] {
        for _ in 0..50 {
            assert_eq!(all.poll(stream), None);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    all.log.report();
    let events = ["new-1", "new-2", "end a 2"].map(String::from);
    for (stream, after) in
        [(&mut live, Some("old-5")), (&mut replaying, None), (&mut resumed, Some("old-4")), (&mut early, None)]
    {
        let told = all.read(stream).await;
        assert_eq!(told[0], gap(after, Some("new-1")));
        assert_eq!(told[1..4], events);
    }
}

#[tokio::test]
async fn a_topic_that_ended_in_the_old_epoch_is_open_in_the_new_one() {
    let all = fixture();
    all.publish("a", 1).await;
    let close = TopicChange { closed: Some(true), ..TopicChange::default() };
    all.hub.configure(name("a"), close.clone()).await.expect("configured");
    let mut stream = all.subscribe(&["a", "b"], Start::Earliest, 100).await;
    assert_eq!(all.read(&mut stream).await, ["old-1", "end a 1"]);
    all.log.replace(all.next(1).await);
    assert_eq!(all.read(&mut stream).await, [gap(Some("old-1"), Some("new-1")), "new-1".into()]);
    all.hub.configure(name("a"), close).await.expect("configured");
    assert_eq!(all.read(&mut stream).await, ["end a 1"], "and ends once more");
}

#[tokio::test]
async fn the_deletions_that_a_feed_knows_are_those_of_its_epoch() {
    let all = fixture();
    all.publish("a", 3).await;
    assert!(all.hub.delete(name("a")).await.expect("deleted"));
    let mut stream = all.subscribe(&["a"], Start::Now, 100).await;
    assert_eq!(stream.awaits_reuse(), Some(Seq(3)));
    let next = all.next(1).await;
    assert!(next.delete(name("a")).await.expect("deleted"));
    all.log.replace(next);
    assert_eq!(all.read(&mut stream).await, [gap(Some("old-3"), None)]);
    assert_eq!(stream.awaits_reuse(), Some(Seq(1)), "looked up in the new log");
}
