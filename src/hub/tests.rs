//! A hub over an in-memory engine; its subscriptions are polled by hand.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    Hub, HubConfig,
    batch::ReadLimit,
    broker::Broker,
    subscription::{Delivery, Start, Subscription},
};
use crate::{
    engine::{
        Append, IdempotencyKey, LifecycleChange, Observer, TopicChange,
        log::{LogConfig, LogEngine},
        memory::{InterruptedRead, MemoryStore},
    },
    event::{
        Data, Event, EventId, Filter, Millis, NewEvent, Retention, Selection, Seq, TopicName,
        position::Cursor,
        retention::{Rule, Rules},
    },
};

fn hub() -> Arc<Hub> {
    hub_with(HubConfig::fixture())
}

fn hub_with(config: HubConfig) -> Arc<Hub> {
    hub_over(MemoryStore::new(), config)
}

fn hub_over(store: MemoryStore, config: HubConfig) -> Arc<Hub> {
    let broker = Broker::new(1, &config);
    let engine = LogEngine::open(store, LogConfig::fixture(), Arc::clone(&broker) as _);
    Hub::new(engine, broker, config)
}

async fn publish(hub: &Hub, topic: &str, data: &str) {
    let event = NewEvent::new(TopicName::new(topic).expect("valid"), Data::from(data));
    hub.publish(Append { events: vec![event], expect: None, key: None }).await.expect("appended");
}

async fn retain(hub: &Hub, topic: &str, max_events: u64) {
    let change = TopicChange { max_events: Some(Some(max_events)), ..TopicChange::default() };
    let topic = TopicName::new(topic).expect("valid");
    hub.configure(topic.clone(), change).await.expect("configured");
    while hub.measure(&topic).await.expect("readable").expect("in use").state.events > max_events {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

/// Reads until the subscription has caught up: the data of events, and `gap TOPIC`.
async fn read(subscription: &mut Subscription) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let delivery = poll_fn(|cx| match subscription.poll_next(cx) {
            std::task::Poll::Pending if subscription.caught_up() => std::task::Poll::Ready(None),
            polled => polled.map(Some),
        });
        match delivery.await {
            None => return all,
            Some(Delivery::Events(batch)) => {
                all.extend(batch.frames().iter().map(|frame| frame.event.new.data.text().into_owned()));
            }
            Some(Delivery::Gap(gap)) => {
                all.push(gap.topic.map_or("gap".to_owned(), |topic| format!("gap {topic}")));
            }
            Some(other) => all.push(format!("{other:?}")),
        }
    }
}

#[tokio::test]
async fn a_start_at_the_oldest_retained_event_has_no_gaps() {
    let hub = hub();
    for n in 0..6 {
        publish(&hub, "a", &format!("a{n}")).await;
        publish(&hub, "b", &format!("b{n}")).await;
    }
    retain(&hub, "b", 1).await;
    let filters = ["a", "b"].map(|text| Filter::new(text).expect("valid"));
    let selection = Selection::new(filters).expect("some");
    // Pages of two events: b's trim mark is not on the first page.
    let limit = ReadLimit { events: 2, bytes: 1 << 20 };
    let from = async |start| hub.subscribe(&selection, start, limit, 0).await.expect("readable");
    let kept = ["a0", "a1", "a2", "a3", "a4", "a5", "b5"];
    assert_eq!(read(&mut from(Start::Earliest).await).await, kept);
    let unknown = read(&mut from(Start::Cursor(Cursor::new("of another hub"))).await).await;
    assert_eq!(unknown, [&["gap"], &kept[..]].concat());
    let before_all = Start::Cursor(Cursor::new(&format!("{}-0", hub.epoch())));
    assert!(read(&mut from(before_all).await).await.contains(&"gap b".to_owned()), "a cursor gets the gap");
}

#[tokio::test]
async fn what_the_disk_lost_is_a_gap_also_for_streams_without_a_cursor() {
    let store = MemoryStore::new();
    let hub = hub_over(store.clone(), HubConfig::fixture());
    for n in 0..6 {
        publish(&hub, "a", &format!("a{n}")).await;
        publish(&hub, "b", &format!("b{n}")).await;
    }
    store.damage(Seq(1), Seq(4));
    let selection = Selection::new(["a", "b"].map(|text| Filter::new(text).expect("valid"))).expect("some");
    for start in [Start::Earliest, Start::Kept(EventId { epoch: hub.epoch(), seq: Seq(2) })] {
        let limit = ReadLimit { events: 100, bytes: 1 << 20 };
        let told = read(&mut hub.subscribe(&selection, start.clone(), limit, 0).await.expect("readable")).await;
        assert_eq!(told[..3], ["gap a", "gap b", "a2"], "{start:?}");
    }
}

/// A stream from the newest events, which begins in the ring.
#[tokio::test]
async fn a_stream_from_a_kept_event_is_told_what_is_gone_after_its_first_event_and_after_it_has_caught_up() {
    let hub = hub();
    let _ring = subscribe(&hub, "a", Start::Now, 1).await;
    for n in 0..6 {
        publish(&hub, "a", &format!("a{n}")).await;
    }
    let kept = |hub: &Arc<Hub>| Start::Kept(EventId { epoch: hub.epoch(), seq: Seq(0) });
    let mut stream = subscribe(&hub, "a", kept(&hub), 1).await;
    assert!(matches!(poll_fn(|cx| stream.poll_next(cx)).await, Delivery::Events(_)), "the first, from the ring");
    retain(&hub, "a", 1).await;
    assert_eq!(read(&mut stream).await, ["gap a", "a5"]);

    let hub = hub_over(MemoryStore::new(), HubConfig { ring_bytes: 1, ..HubConfig::fixture() });
    let mut live = subscribe(&hub, "a", kept(&hub), 1).await;
    for n in 0..6 {
        publish(&hub, "a", &format!("a{n}")).await;
    }
    retain(&hub, "a", 1).await;
    assert_eq!(read(&mut live).await, ["gap a", "a5"], "it had caught up");
}

async fn subscribe(hub: &Arc<Hub>, topic: &str, start: Start, events: usize) -> Subscription {
    let selection = Selection::new([Filter::new(topic).expect("valid")]).expect("some");
    hub.subscribe(&selection, start, ReadLimit { events, bytes: 1 << 20 }, 0).await.expect("readable")
}

#[tokio::test]
async fn a_receipt_has_the_number_of_subscribers_of_now_also_that_of_a_retry() {
    let hub = hub();
    let key = IdempotencyKey { key: [1; 16], fingerprint: [1; 16], owner: 0 };
    let publish = || async {
        let events = vec![new_event("a", "1"), new_event("a/b", "2"), new_event("a", "3")];
        let all = hub.publish(Append { key: Some(key), ..append(events) }).await.expect("appended");
        all.iter().map(|one| (one.receipt.seq.0, one.subscribers)).collect::<Vec<_>>()
    };
    let _pattern = subscribe(&hub, "*", Start::Now, 100).await;
    assert_eq!(publish().await, [(1, 1), (2, 0), (3, 1)]);
    let _name = subscribe(&hub, "a", Start::Now, 100).await;
    assert_eq!(publish().await, [(1, 2), (2, 0), (3, 2)]);
    let each = hub.publish_each(vec![new_event("a", "4"), new_event("b", "5")]).expect("the queue is empty");
    let each: Vec<u32> = each.await.expect("committed").into_iter().map(|one| one.expect("open").subscribers).collect();
    assert_eq!(each, [2, 1]);
}

#[tokio::test]
async fn a_client_that_reconnects_within_the_ring_reads_no_page() {
    let hub = hub();
    let mut first = subscribe(&hub, "a", Start::Now, 100).await;
    for n in 0..6 {
        publish(&hub, "a", &format!("a{n}")).await;
    }
    assert_eq!(read(&mut first).await.len(), 6);
    let cursor = Start::Cursor(Cursor::new(&format!("{}-2", hub.epoch())));
    assert_eq!(read(&mut subscribe(&hub, "a", cursor.clone(), 100).await).await, ["a2", "a3", "a4", "a5"]);
    assert_eq!(read(&mut subscribe(&hub, "a", cursor.clone(), 3).await).await, ["a2", "a3", "a4", "a5"]);
    assert_eq!(hub.stats().pages_read.get(), 0);
    retain(&hub, "a", 1).await;
    assert_eq!(
        read(&mut subscribe(&hub, "a", cursor, 100).await).await,
        ["gap a", "a5"],
        "what is trimmed is not sent from the ring"
    );
}

#[tokio::test]
async fn a_page_is_read_once_for_all_readers_and_again_after_a_trim() {
    let hub = hub();
    for n in 0..6 {
        publish(&hub, "a", &format!("a{n}")).await;
    }
    let all = || subscribe(&hub, "a", Start::Earliest, 2);
    let pages = || hub.stats().pages_read.get();
    assert_eq!(read(&mut all().await).await.len(), 6);
    let once = pages();
    assert_eq!(read(&mut all().await).await.len(), 6);
    assert_eq!(pages(), once);
    retain(&hub, "a", 3).await;
    assert_eq!(read(&mut all().await).await, ["a3", "a4", "a5"]);
    hub.delete(TopicName::new("a").expect("valid")).await.expect("deleted");
    assert_eq!(read(&mut all().await).await, [""; 0]);
}

#[tokio::test]
async fn the_last_page_is_read_once_and_a_reader_of_it_gets_what_came_since() {
    let hub = hub();
    let all = || subscribe(&hub, "a", Start::Earliest, 100);
    let pages = || hub.stats().pages_read.get();
    publish(&hub, "a", "1").await;
    for read_before in 0..2 {
        assert_eq!(pages(), read_before, "a single event is read again");
        assert_eq!(read(&mut all().await).await, ["1"]);
    }
    publish(&hub, "a", "2").await;
    let (mut first, mut second) = (all().await, all().await);
    assert_eq!(read(&mut first).await, ["1", "2"]);
    assert_eq!(read(&mut second).await, ["1", "2"]);
    let mut third = all().await;
    assert_eq!(read(&mut third).await, ["1", "2"]);
    assert_eq!((pages(), hub.stats().live.get()), (3, 3), "each follows the ring");
    for n in 3..5 {
        publish(&hub, "a", &n.to_string()).await;
    }
    assert_eq!(read(&mut third).await, ["3", "4"]);
    assert_eq!(pages(), 3);
    assert_eq!(read(&mut all().await).await, ["1", "2", "3", "4"]);
    assert_eq!(pages(), 4, "the log has grown");
}

#[tokio::test]
async fn a_deletion_is_looked_up_once_for_a_feed_which_records_later_ones() {
    let store = MemoryStore::new();
    let hub = hub_over(store.clone(), HubConfig::fixture());
    let delete = || async { hub.delete(TopicName::new("a").expect("valid")).await.expect("deleted") };
    publish(&hub, "a", "1").await;
    assert!(delete().await);
    let first = subscribe(&hub, "a", Start::Now, 100).await;
    assert_eq!(first.awaits_reuse(), Some(Seq(1)));
    store.faults().stall();
    let second = tokio::time::timeout(Duration::from_secs(10), subscribe(&hub, "a", Start::Now, 100)).await;
    store.faults().resume();
    assert_eq!(second.expect("the feed has the mark").awaits_reuse(), Some(Seq(1)));
    publish(&hub, "a", "2").await;
    assert_eq!(first.awaits_reuse(), None, "in use");
    assert!(delete().await);
    assert_eq!(first.awaits_reuse(), Some(Seq(2)));
    assert_eq!(hub.awaits_reuse(&TopicName::new("a").expect("valid").into()).await.expect("readable"), Some(Seq(2)));
}

#[tokio::test]
async fn quiet_rings_leave_room_for_the_busy_ones() {
    let hub = hub_with(HubConfig { ring_bytes: 8000, rings_bytes: 18_000, ..HubConfig::fixture() });
    let mut quiet = [subscribe(&hub, "a", Start::Now, 100).await, subscribe(&hub, "b", Start::Now, 100).await];
    for topic in ["a", "b"] {
        for _ in 0..4 {
            publish(&hub, topic, &"x".repeat(700)).await;
        }
    }
    for subscription in &mut quiet {
        assert_eq!(read(subscription).await.len(), 4);
    }
    hub.sweep();
    let mut busy = subscribe(&hub, "busy", Start::Now, 100).await;
    for _ in 0..4 {
        publish(&hub, "busy", &"x".repeat(700)).await;
    }
    assert_eq!(read(&mut busy).await.len(), 4);
    assert_eq!(hub.stats().pages_read.get(), 0, "all of it was in the ring");
}

/// Of `a` the newest two events are kept.
fn keeping_two_of_a(retention: Retention) -> LogConfig {
    let topics = Filter::new("a").expect("valid");
    let rule = Rule { topics, retention: Retention { max_events: Some(2), ..retention }, retry: None };
    LogConfig { rules: Rules { rules: vec![rule], ..Rules::default() }, ..LogConfig::fixture() }
}

fn new_event(topic: &str, data: &str) -> NewEvent {
    NewEvent::new(TopicName::new(topic).expect("valid"), Data::from(data))
}

fn append(events: Vec<NewEvent>) -> Append {
    Append { events, expect: None, key: None }
}

async fn of_both(hub: &Arc<Hub>, events: usize) -> Subscription {
    let selection = Selection::new(["a", "b"].map(|text| Filter::new(text).expect("valid"))).expect("some");
    let cursor = Start::Cursor(Cursor::new(&format!("{}-0", hub.epoch())));
    hub.subscribe(&selection, cursor, ReadLimit { events, bytes: 1 << 20 }, 0).await.expect("readable")
}

/// Retention passes the head that a page began with while the page is read.
#[tokio::test]
async fn what_is_trimmed_while_the_last_page_is_read_is_reported_before_the_ring() {
    let (store, config) = (MemoryStore::new(), HubConfig::fixture());
    let broker = Broker::new(1, &config);
    let engine = LogEngine::open(store.clone(), keeping_two_of_a(Retention::default()), Arc::clone(&broker) as _);
    let hub = Hub::new(engine, broker, config);
    publish(&hub, "a", "a1").await;
    publish(&hub, "b", "b2").await;
    let (meanwhile, runtime) = (Arc::clone(&hub), tokio::runtime::Handle::current());
    store.faults().after_next(InterruptedRead::Headers, move || {
        runtime.block_on(async {
            let events = ["a3", "a4", "a5"].map(|data| new_event("a", data)).into();
            meanwhile.publish(append(events)).await.expect("appended");
            retain(&meanwhile, "a", 2).await;
        });
    });
    let mut stream = of_both(&hub, 100).await;
    let told = tokio::time::timeout(Duration::from_secs(10), read(&mut stream)).await.expect("in time");
    assert_eq!(told, ["gap a", "b2", "a3", "a4", "a5"]);
}

/// A broker that receives commits late.
struct Late {
    broker: Arc<Broker>,
    held: AtomicBool,
    /// Commits are not passed at all.
    withheld: AtomicBool,
}

impl Observer for Late {
    fn committed(&self, events: &[Arc<Event>]) {
        while self.held.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if !self.withheld.load(Ordering::SeqCst) {
            self.broker.committed(events);
        }
    }

    fn skipped(&self, head: Seq) {
        self.broker.skipped(head);
    }

    fn removed(&self, topic: &TopicName, seq: Seq) {
        self.broker.removed(topic, seq);
    }

    fn lifecycle_changed(&self, topic: &TopicName, change: LifecycleChange) {
        self.broker.lifecycle_changed(topic, change);
    }

    fn epoch_changed(&self, head: EventId) {
        self.broker.epoch_changed(head);
    }
}

/// A gap ahead of a page that is not the last is reported by the next page, although the ring has nothing after it yet.
#[tokio::test]
async fn what_is_trimmed_with_a_commit_that_is_not_in_the_ring_yet_is_reported() {
    let config = HubConfig::fixture();
    let broker = Broker::new(1, &config);
    let late =
        Arc::new(Late { broker: Arc::clone(&broker), held: AtomicBool::default(), withheld: AtomicBool::default() });
    let time = Arc::new(AtomicU64::new(1_000_000));
    let hand = || {
        let time = Arc::clone(&time);
        move || time.load(Ordering::SeqCst)
    };
    let (clock, uptime) = (hand(), hand());
    let hour = Retention { max_age: Some(Duration::from_hours(1)), ..Retention::default() };
    let log = LogConfig {
        clock: Arc::new(move || Millis(clock())),
        uptime: Arc::new(move || Duration::from_millis(uptime())),
        boot: None,
        ..keeping_two_of_a(hour)
    };
    let engine = LogEngine::open(MemoryStore::new(), log, Arc::clone(&late) as _);
    let hub = Hub::new(engine, broker, config);
    publish(&hub, "a", "a1").await;
    publish(&hub, "b", "b2").await;
    time.fetch_add(2 * 3_600_000, Ordering::SeqCst);
    late.held.store(true, Ordering::SeqCst);
    let events =
        [("a", "a3"), ("a", "a4"), ("a", "a5"), ("b", "b6")].map(|(topic, data)| new_event(topic, data)).into();
    let publisher = Arc::clone(&hub);
    let publishing = tokio::spawn(async move { publisher.publish(append(events)).await.expect("appended") });
    while hub.head().seq < Seq(6) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut stream = of_both(&hub, 1).await;
    let told = tokio::time::timeout(Duration::from_secs(10), read(&mut stream)).await.expect("in time");
    late.held.store(false, Ordering::SeqCst);
    assert!(told.contains(&"gap a".to_owned()) && told.ends_with(&["a4", "a5", "b6"].map(Into::into)), "{told:?}");
    publishing.await.expect("no panic");
    publish(&hub, "b", "b7").await;
    assert_eq!(read(&mut stream).await, ["b7"]);
}

/// An engine that follows a log that others write, and has passed over events, tells no ring of what it has read.
#[tokio::test]
async fn streams_read_the_log_when_events_were_passed_over() {
    let config = HubConfig::fixture();
    let broker = Broker::new(1, &config);
    let (held, withheld) = (AtomicBool::default(), AtomicBool::default());
    let late = Arc::new(Late { broker: Arc::clone(&broker), held, withheld });
    let engine = LogEngine::open(MemoryStore::new(), keeping_two_of_a(Retention::default()), Arc::clone(&late) as _);
    let hub = Hub::new(engine, broker, config);
    publish(&hub, "a", "a1").await;
    let mut stream = of_both(&hub, 100).await;
    assert_eq!(read(&mut stream).await, ["a1"]);
    late.withheld.store(true, Ordering::SeqCst);
    for (topic, data) in [("a", "a2"), ("a", "a3"), ("a", "a4"), ("b", "b5")] {
        publish(&hub, topic, data).await;
    }
    retain(&hub, "a", 2).await;
    late.withheld.store(false, Ordering::SeqCst);
    assert_eq!(read(&mut stream).await, [""; 0]);
    late.skipped(hub.head().seq);
    assert_eq!(read(&mut stream).await, ["gap a", "a3", "a4", "b5"]);
    publish(&hub, "b", "b6").await;
    assert_eq!(read(&mut stream).await, ["b6"]);
    let mut fresh = of_both(&hub, 100).await;
    assert_eq!(read(&mut fresh).await, ["gap a", "a3", "a4", "b5", "b6"]);
}
