//! The log engine with a bad disk and a full queue, by fault injection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use super::{
    LogConfig, LogEngine, Store,
    contract::{LogFixture, MemoryFactory},
    slot::Flag,
    store::{ReadLimit, TopicKey, TopicRecord, TopicSettings},
};
use crate::{
    engine::{
        Admin, AppendError, Engine as _, LifecycleChange, LocateBy, Log, MetadataChange, ReadFrom, ReadRequest,
        TopicChange,
        contract::{
            RecordingObserver,
            backwards::{read_all_back, read_back, short_back},
            closing, event, keyed, plain, request, selection, short, status, topic, wait,
        },
        memory::{FaultInjector, InterruptedRead, MemoryStore},
        sled::{SledConfig, SledStore},
    },
    event::{Metadata, Millis, Retention, Seq, retention::Rules},
};

type Memory = LogFixture<MemoryFactory>;

fn faults(fixture: &Memory) -> &FaultInjector {
    fixture.factory.store.0.faults()
}

fn is_unavailable<T>(answer: &Result<T, AppendError>) -> bool {
    matches!(answer, Err(AppendError::Unavailable { reason }) if reason.contains("injected"))
}

/// The `seq` and `prev` of every stored event.
fn chain(fixture: &Memory) -> Vec<(u64, u64)> {
    let all = ReadLimit { events: usize::MAX, bytes: usize::MAX };
    let scan = fixture.factory.store.0.scan(Seq(0), Seq(u64::MAX), all, &mut |_| Some(topic("any")));
    scan.expect("readable").events.iter().map(|stored| (stored.event.seq.0, stored.prev.0)).collect()
}

#[test]
fn an_event_is_stored_with_the_position_before_it_in_its_topic() {
    let mut fixture = Memory::new();
    fixture.publish_all(&["a", "b", "a", "a", "b"]);
    assert!(fixture.remove("a", Seq(3)));
    fixture.reopen();
    fixture.publish("a");
    assert_eq!(chain(&fixture), [(1, 0), (2, 0), (3, 1), (4, 3), (5, 2), (6, 4), (7, 6)], "6 is the notice");
    fixture.delete("b");
    fixture.publish("b");
    assert!(chain(&fixture).ends_with(&[(8, 5)]), "after the deleted incarnation");
}

#[test]
fn after_a_failed_commit_nothing_is_acknowledged_again() {
    let mut fixture = Memory::new();
    fixture.publish("a");
    faults(&fixture).hold();
    let first = fixture.engine.append(plain(vec![event("a", "1")]));
    fixture.until("the first is being written", |_| faults(&fixture).writes() == 2);
    let queued: Vec<_> = (0..10).map(|_| fixture.engine.append(plain(vec![event("a", "2")]))).collect();
    let change = fixture.engine.delete(topic("a"));
    faults(&fixture).fail_next();
    faults(&fixture).release();
    assert!(is_unavailable(&wait(first)));
    assert!(queued.into_iter().all(|answer| is_unavailable(&wait(answer))));
    assert!(is_unavailable(&wait(change)));
    assert!(is_unavailable(&fixture.append(plain(vec![event("b", "3")]))));
    assert!(matches!(status(&*fixture.engine).refusing, Some(AppendError::Unavailable { .. })));
    assert_eq!((fixture.engine.head().seq, fixture.observer.events.lock().len()), (Seq(1), 1), "nothing was observed");
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::Earliest)), ["1"], "what was durable can be read");
    fixture.reopen();
    assert_eq!(fixture.publish("a"), Seq(2), "a restart recovers");
}

#[test]
fn a_full_disk_uses_up_nothing_and_is_transient() {
    let fixture = Memory::new();
    let publish = || fixture.append(keyed(1, 1, vec![closing("a")]));
    faults(&fixture).set_full(true);
    assert_eq!(publish(), Err(AppendError::Full));
    assert_eq!(wait(fixture.engine.delete(topic("a"))), Ok(false));
    assert_eq!(status(&*fixture.engine).refusing, Some(AppendError::Full));
    assert_eq!((fixture.state("a"), fixture.engine.head().seq), (None, Seq(0)));
    faults(&fixture).set_full(false);
    assert_eq!(publish().map(|receipts| receipts[0].seq), Ok(Seq(1)), "neither the position nor the key was used up");
    assert_eq!(status(&*fixture.engine).refusing, None);
    assert_eq!(fixture.observer.events.lock().len(), 1);
}

#[test]
fn a_refusal_that_depends_on_a_failed_commit_is_replaced_by_its_error() {
    let fixture = Memory::new();
    faults(&fixture).hold();
    let before = fixture.engine.append(plain(vec![event("b", "1")]));
    fixture.until("the writer waits", |_| faults(&fixture).writes() == 1);
    // In one group: the second is refused only because of the first.
    let close = fixture.engine.append(plain(vec![closing("a")]));
    let late = fixture.engine.append(plain(vec![event("a", "x")]));
    faults(&fixture).set_full(true);
    faults(&fixture).release();
    for answer in [before, close, late] {
        assert_eq!(wait(answer), Err(AppendError::Full));
    }
}

#[test]
fn queued_appends_share_one_commit() {
    let fixture = Memory::new();
    faults(&fixture).hold();
    let answers: Vec<_> = (0..512).map(|_| fixture.engine.append(plain(vec![event("a", "x")]))).collect();
    fixture.until("the writer waits", |_| faults(&fixture).writes() == 1);
    faults(&fixture).release();
    assert!(answers.into_iter().all(|answer| wait(answer).is_ok()));
    assert!(faults(&fixture).writes() <= 3, "{} writes", faults(&fixture).writes());
}

#[test]
fn events_refused_by_a_full_queue_are_returned_and_a_failed_commit_refuses_all() {
    let fixture = Memory::with(LogConfig { queue_bytes: 2000, ..LogConfig::fixture() });
    faults(&fixture).hold();
    let events: Vec<_> = ["1", "2", "3", "4", "5"].map(|data| event("a", data)).to_vec();
    let first = fixture.engine.append_each(events.clone()).expect("the queue is empty");
    let returned = fixture.engine.append_each(events.clone()).err().expect("the queue is full");
    fixture.until("the writer waits", |_| faults(&fixture).writes() == 1);
    faults(&fixture).set_full(true);
    faults(&fixture).release();
    assert_eq!((returned.events, returned.error), (events.clone(), AppendError::Busy));
    assert_eq!(wait(first), Err(AppendError::Full));
    faults(&fixture).set_full(false);
    let receipts = wait(fixture.engine.append_each(events).expect("capacity is free again")).expect("committed");
    assert_eq!(receipts[0].as_ref().map(|receipt| receipt.seq), Ok(Seq(1)), "nothing was used up");
}

#[test]
fn a_group_is_bounded_by_events_and_by_bytes() {
    for (group_events, group_bytes) in [(10, usize::MAX), (usize::MAX, 100)] {
        let fixture = Memory::with(LogConfig { group_events, group_bytes, ..LogConfig::fixture() });
        faults(&fixture).hold();
        let answers: Vec<_> = (0..100).map(|_| fixture.engine.append(plain(vec![event("a", "0123456789")]))).collect();
        fixture.until("the writer waits", |_| faults(&fixture).writes() == 1);
        faults(&fixture).release();
        assert!(answers.into_iter().all(|answer| wait(answer).is_ok()));
        assert!(faults(&fixture).writes() >= 10, "{} writes", faults(&fixture).writes());
        let large = vec![event("a", "0123456789"); 50];
        assert!(fixture.append(plain(large)).is_ok(), "one append may be larger than a group");
    }
}

#[test]
fn a_full_queue_refuses_until_it_is_written() {
    let fixture = Memory::with(LogConfig { queue_bytes: 2000, ..LogConfig::fixture() });
    let publish = |bytes: usize| fixture.engine.append(plain(vec![event("a", &"x".repeat(bytes))]));
    faults(&fixture).hold();
    let taken: Vec<_> = (0..2).map(|_| publish(600)).collect();
    assert_eq!(wait(publish(600)), Err(AppendError::Busy));
    assert!(status(&*fixture.engine).queued_bytes > 1200);
    faults(&fixture).release();
    assert!(taken.into_iter().all(|answer| wait(answer).is_ok()));
    fixture.until("capacity is free again", |engine| status(engine).queued_bytes == 0);
    assert!(wait(publish(5000)).is_ok(), "one that is larger than the queue is taken when nothing waits");
}

#[test]
fn a_retry_in_flight_waits_and_a_dropped_future_cancels_nothing() {
    let fixture = Memory::new();
    faults(&fixture).hold();
    drop(fixture.engine.append(keyed(1, 1, vec![event("a", "1")])));
    fixture.until("being written", |_| faults(&fixture).writes() == 1);
    let duplicate = fixture.engine.append(keyed(1, 1, vec![event("a", "1")]));
    let other = fixture.engine.append(keyed(1, 2, vec![event("a", "2")]));
    faults(&fixture).release();
    assert_eq!(wait(duplicate).map(|receipts| receipts[0].seq), Ok(Seq(1)));
    assert_eq!(wait(other), Err(AppendError::KeyReused));
    assert_eq!(fixture.engine.head().seq, Seq(1));
}

#[test]
fn a_key_is_for_one_request_also_within_one_commit() {
    let fixture = Memory::new();
    faults(&fixture).hold();
    let before = fixture.engine.append(plain(vec![event("a", "0")]));
    fixture.until("the writer waits", |_| faults(&fixture).writes() == 1);
    let first = fixture.engine.append(keyed(1, 1, vec![event("a", "1")]));
    let duplicate = fixture.engine.append(keyed(1, 1, vec![event("a", "1")]));
    let other = fixture.engine.append(keyed(1, 2, vec![event("a", "2")]));
    faults(&fixture).release();
    let [before, first, duplicate] =
        [before, first, duplicate].map(|answer| wait(answer).map(|receipts| receipts[0].seq));
    assert_eq!((before, first, duplicate), (Ok(Seq(1)), Ok(Seq(2)), Ok(Seq(2))));
    assert_eq!(wait(other), Err(AppendError::KeyReused));
}

#[test]
fn an_event_that_is_not_durable_is_invisible() {
    let fixture = Memory::new();
    faults(&fixture).hold();
    let answer = fixture.engine.append(plain(vec![closing("a")]));
    fixture.until("being written", |_| faults(&fixture).writes() == 1);
    assert_eq!((fixture.state("a"), fixture.engine.head().seq), (None, Seq(0)));
    assert!(fixture.read(&["**"], ReadFrom::Earliest).items.is_empty());
    assert!(fixture.observer.events.lock().is_empty() && fixture.observer.lifecycle_changes.lock().is_empty());
    faults(&fixture).release();
    wait(answer).expect("accepted");
    assert_eq!(*fixture.observer.lifecycle_changes.lock(), [(topic("a"), LifecycleChange::Closed { last: Seq(1) })]);
}

/// Positions 4 to 6 are lost: the only events of `b`, and the newest of `a`.
fn after_a_loss(merge_topics: usize) -> Memory {
    let mut fixture = Memory::with(LogConfig { merge_topics, ..LogConfig::fixture() });
    fixture.publish_all(&["a", "c", "a", "a", "b", "c", "c"]);
    fixture.engine.close();
    fixture.factory.store.0.damage(Seq(4), Seq(6));
    faults(&fixture).set_lost(vec![(Seq(4), Seq(6))]);
    fixture.start();
    fixture
}

#[test]
fn events_lost_before_a_start_are_reported() {
    for merge_topics in [0, 1000] {
        let fixture = after_a_loss(merge_topics);
        assert_eq!(short(&fixture.read(&["a"], ReadFrom::After(Seq(1)))), ["3", "a?-"]);
        assert_eq!(short(&fixture.read(&["a"], ReadFrom::After(Seq(5)))), ["a?-"]);
        assert_eq!(short(&fixture.read(&["a"], ReadFrom::After(Seq(6)))), [""; 0]);
        assert_eq!(short(&fixture.read(&["b"], ReadFrom::After(Seq(5)))), ["b?-"], "b is not known any more");
        assert_eq!(short(&fixture.read(&["c"], ReadFrom::After(Seq(2)))), ["c?7", "7"]);
        let all = ["1", "2", "3", "*?-", "a?-", "c?7", "7"]; // b cannot be named
        assert_eq!(short(&fixture.read(&["**"], ReadFrom::After(Seq(0)))), all);
        assert_eq!(short(&fixture.read_in_pages(&["**"], ReadFrom::After(Seq(0)), 1, 1)), all);
        assert_eq!(fixture.state("a").expect("known").last, Some(Seq(6)), "up to where it may have had events");
        assert_eq!(fixture.publish("a"), Seq(8));
        assert_eq!(fixture.publish("b"), Seq(9));
        assert!(chain(&fixture).ends_with(&[(8, 6), (9, 6)]), "an older cursor gets a gap");
        assert_eq!(short(&fixture.read(&["a"], ReadFrom::After(Seq(1)))), ["3", "a?8", "8"]);
        assert_eq!(short(&fixture.read(&["b"], ReadFrom::After(Seq(5)))), ["b?9", "9"]);
        assert_eq!(short(&fixture.read(&["b"], ReadFrom::Earliest)), ["9"]);
    }
}

#[test]
fn a_read_since_a_time_returns_every_event_also_when_most_matching_topics_are_older() {
    for merge_topics in [0, 1, 1000] {
        let fixture = Memory::with(LogConfig { merge_topics, ..LogConfig::fixture() });
        fixture.publish_all(&["a", "b", "c"]);
        fixture.advance(Duration::from_secs(10));
        fixture.publish("c");
        let since = fixture.observer.events.lock().last().expect("published").time;
        assert_eq!(short(&fixture.read(&["**"], ReadFrom::Since(since))), ["4"], "{merge_topics}");
    }
}

/// Positions 3 and 4 are lost, and `b` with them; `a` was closed at 1 and `c` at 5, by settings. `d` was never used.
#[test]
fn a_topic_that_was_closed_before_a_loss_reports_none() {
    for merge_topics in [0, 1000] {
        let mut fixture = Memory::with(LogConfig { merge_topics, ..LogConfig::fixture() });
        fixture.publish_all(&["a", "c", "b", "b", "c"]);
        for name in ["a", "c", "d"] {
            fixture.configure(name, TopicChange { closed: Some(true), ..TopicChange::default() });
        }
        fixture.engine.close();
        fixture.factory.store.0.damage(Seq(3), Seq(4));
        faults(&fixture).set_lost(vec![(Seq(3), Seq(4))]);
        fixture.start();
        for _ in 0..2 {
            let last = |name| fixture.state(name).expect("in use").last;
            assert_eq!((last("a"), last("c"), last("d")), (Some(Seq(1)), Some(Seq(5)), None));
            for (name, kept) in [("a", &["1"][..]), ("c", &["2", "5"]), ("d", &[])] {
                for from in [ReadFrom::Earliest, ReadFrom::After(Seq(0))] {
                    assert_eq!(short(&fixture.read(&[name], from)), kept, "{name} {from:?}");
                }
            }
            let all = short(&fixture.read(&["a", "c", "d"], ReadFrom::After(Seq(0))));
            assert_eq!(all, ["1", "2", "5"]);
            fixture.reopen();
        }
        fixture.configure("a", TopicChange { closed: Some(false), ..TopicChange::default() });
        fixture.publish("a");
        assert_eq!(short(&fixture.read(&["a"], ReadFrom::After(Seq(1)))), ["6"], "nor after it is reopened");
    }
}

#[test]
fn a_closed_topic_whose_last_event_is_lost_keeps_its_last_id() {
    let mut fixture = Memory::new();
    fixture.publish_all(&["a", "a", "b", "b"]);
    fixture.configure("a", TopicChange { closed: Some(true), ..TopicChange::default() });
    fixture.engine.close();
    fixture.factory.store.0.damage(Seq(2), Seq(3));
    faults(&fixture).set_lost(vec![(Seq(2), Seq(3))]);
    fixture.start();
    assert_eq!(fixture.state("a").expect("in use").last, Some(Seq(2)));
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::Earliest)), ["1", "a?-"]);
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::After(Seq(1)))), ["a?-"]);
    assert_eq!(
        short(&fixture.read(&["a"], ReadFrom::After(Seq(2)))),
        [""; 0],
        "a reader at its last id has missed nothing"
    );
}

#[test]
fn a_loss_at_the_very_end_is_reported_and_its_ids_are_not_used_again() {
    let mut fixture = Memory::new();
    fixture.publish_all(&["a", "a"]);
    fixture.engine.close();
    faults(&fixture).set_lost(vec![(Seq(3), Seq(9))]);
    fixture.start();
    assert_eq!(fixture.engine.head().seq, Seq(9), "ids up to there may have been delivered");
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::After(Seq(5)))), ["a?-"]);
    assert_eq!(fixture.publish("a"), Seq(10));
}

#[test]
fn a_page_read_backwards_is_not_empty_because_the_newest_events_have_expired() {
    for merge_topics in [0, 1000] {
        let fixture = Memory::with(LogConfig { merge_topics, ..LogConfig::fixture() });
        fixture.configure("a", TopicChange { max_age: Some(Some(Duration::from_mins(1))), ..TopicChange::default() });
        fixture.publish_all(&["b", "b", "a", "a", "a"]);
        fixture.advance(Duration::from_secs(61));
        let page = read_back(&fixture, &["*"], 100, (1, usize::MAX));
        assert_eq!((page.older, page.through, short_back(page)), (true, Seq(5), vec!["2".into()]));
    }
}

#[test]
fn damage_under_a_running_engine_is_reported_once_for_any_page_size() {
    for merge_topics in [0, 1000] {
        let fixture = Memory::with(LogConfig { merge_topics, ..LogConfig::fixture() });
        fixture.publish_all(&["a", "b", "a", "b", "b", "a", "b"]);
        fixture.factory.store.0.damage(Seq(3), Seq(4));
        fixture.factory.store.0.damage(Seq(7), Seq(7));
        for filters in [&["a", "b"][..], &["**"]] {
            let expected = ["1", "2", "a?6", "b?5", "5", "6", "b?-"];
            assert_eq!(short(&fixture.read(filters, ReadFrom::After(Seq(0)))), expected, "{filters:?}");
            assert_eq!(short(&fixture.read_in_pages(filters, ReadFrom::After(Seq(0)), 1, 1)), expected, "{filters:?}");
        }
        assert_eq!(short(&fixture.read_in_pages(&["b"], ReadFrom::After(Seq(0)), 1, 1)), ["2", "b?5", "5", "b?-"]);
    }
}

#[test]
fn what_is_lost_between_the_headers_and_the_data_of_a_page_is_reported() {
    let fixture = Memory::new();
    fixture.publish_all(&["a", "b", "a", "b", "a", "b"]);
    let store = fixture.factory.store.0.clone();
    faults(&fixture).after_next(InterruptedRead::Headers, move || store.damage(Seq(1), Seq(3)));
    // The first page has the headers of 1 and 3, and no header of `a` after them.
    let page = fixture.read_in_pages(&["a", "b"], ReadFrom::After(Seq(0)), 2, usize::MAX);
    assert_eq!(short(&page), ["b?4", "a?-", "4", "5", "6"]);
}

#[test]
fn space_is_reclaimed_but_never_that_of_retained_events() {
    let fixture = Memory::with_retention(Retention { max_events: Some(2), ..Retention::default() });
    fixture.publish_all(&["a", "a", "a", "b", "a", "gone"]);
    fixture.delete("gone");
    let stored = |key: u64| {
        fixture
            .factory
            .store
            .0
            .topic_headers((TopicKey(key), &topic("a")), Seq(0), Seq(u64::MAX), 100)
            .expect("readable")
            .len()
    };
    fixture.until("reclaimed", |_| stored(1) == 2 && stored(6) == 0);
    assert_eq!(stored(4), 1);
    fixture.trim("b", 0);
    fixture.until("recorded, then reclaimed", |_| stored(4) == 0);
    assert_eq!(fixture.state("b").expect("still known").last, Some(Seq(4)));
}

#[test]
fn a_trim_reads_few_more_headers_than_it_trims() {
    let fixture = Memory::with_retention(Retention { max_events: Some(1000), ..Retention::default() });
    fixture.publish_all(&["a"; 1000]);
    let before = faults(&fixture).headers_read();
    fixture.publish("a");
    fixture.until("trimmed", |_| fixture.state("a").expect("known").events == 1000);
    let read = faults(&fixture).headers_read() - before;
    assert!((2..=100).contains(&read), "{read} headers for one event too many");
}

#[test]
fn since_reports_a_gap_after_the_space_was_reclaimed() {
    let fixture = Memory::new();
    fixture.publish("a");
    fixture.advance(Duration::from_secs(1));
    let trimmed = fixture.publish_bytes("a", 1).time;
    fixture.advance(Duration::from_secs(1));
    fixture.publish("a");
    fixture.trim("a", 1);
    let stored = || {
        fixture
            .factory
            .store
            .0
            .topic_headers((TopicKey(1), &topic("a")), Seq(0), Seq(u64::MAX), 100)
            .expect("readable")
            .len()
    };
    fixture.until("reclaimed", |_| stored() == 1);
    let later = Millis(trimmed.0 + 1);
    for filters in [&["a"][..], &["a", "b"], &["**"]] {
        assert_eq!(short(&fixture.read(filters, ReadFrom::Since(trimmed))), ["a!3", "3"], "{filters:?}");
        assert_eq!(short(&fixture.read(filters, ReadFrom::Since(later))), ["3"], "{filters:?}");
    }
}

/// The times of trimmed events are not stored: any time up to that of the oldest retained event may be one.
#[test]
fn since_reports_what_may_have_been_trimmed_before_a_restart() {
    let mut fixture = Memory::new();
    fixture.publish("a");
    fixture.advance(Duration::from_secs(1));
    let kept = fixture.publish_bytes("a", 1).time;
    fixture.trim("a", 1);
    let stored = |fixture: &Memory| {
        fixture
            .factory
            .store
            .0
            .topic_headers((TopicKey(1), &topic("a")), Seq(0), Seq(u64::MAX), 100)
            .expect("readable")
            .len()
    };
    fixture.until("reclaimed", |_| stored(&fixture) == 1);
    fixture.reopen();
    for filters in [&["a"][..], &["a", "b"], &["**"]] {
        let read = |time| short(&fixture.read(filters, ReadFrom::Since(Millis(time))));
        assert_eq!(read(kept.0 - 1), ["a!2", "2"], "{filters:?}");
        assert_eq!(read(kept.0), ["2"], "{filters:?}");
    }
    fixture.trim("a", 0);
    fixture.until("recorded, then reclaimed", |_| stored(&fixture) == 0);
    fixture.reopen();
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::Since(Millis(kept.0 + 1)))), ["a!-"], "nothing is known of it");
    fixture.publish("b");
    assert_eq!(short(&fixture.read(&["b"], ReadFrom::Since(Millis(0)))), ["3"], "nothing of it was trimmed");
}

fn reads_no_more_positions_than_asked_for<S: Store>(store: S) {
    let observer = Arc::new(RecordingObserver::default());
    let engine = LogEngine::open(store, LogConfig::fixture(), observer);
    for n in 0..40 {
        let events = (0..50).map(|_| event(&format!("a/{}", n % 4), "x")).collect();
        wait(engine.append(plain(events))).expect("accepted");
    }
    // Asked once for each step of a topic.
    let steps = AtomicU64::new(0);
    let keep_going = || steps.fetch_add(1, Ordering::SeqCst) < 8;
    let newest = |filters: &[&str], count, keep_going: &(dyn Fn() -> bool + Sync)| {
        engine.shared.locate(&selection(filters), LocateBy::Newest(count), keep_going)
    };
    newest(&["a/*"], 10, &keep_going).expect("a step of each topic is enough");
    newest(&["a/0"], 40, &keep_going).expect("steps grow");
    newest(&["a/*"], 1900, &|| false).expect_err("it is given up");
}

#[test]
fn looking_for_the_newest_reads_no_more_than_is_asked_for() {
    reads_no_more_positions_than_asked_for(MemoryStore::new());
    let dir = tempfile::tempdir().expect("a directory");
    let store = SledStore::open(SledConfig::fixture(dir.path().join("store"))).expect("a sound store");
    reads_no_more_positions_than_asked_for(store);
}

#[test]
fn an_event_is_above_a_mark_that_outlived_the_newest_segment() {
    let store = MemoryStore::new();
    let settings = TopicSettings { deleted_through: Some(Seq(100)), ..TopicSettings::default() };
    store.save_settings(&[TopicRecord::new(topic("a"), settings.clone())]).expect("saved");
    let engine = LogEngine::open(store, LogConfig::fixture(), Arc::new(RecordingObserver::default()));
    let receipts = wait(engine.append(plain(vec![event("a", "x")]))).expect("accepted");
    assert_eq!(receipts[0].seq, Seq(101));
}

#[test]
fn a_search_stops_when_its_future_is_dropped() {
    let store = MemoryStore::new();
    let engine = LogEngine::open(store.clone(), LogConfig::fixture(), Arc::new(RecordingObserver::default()));
    wait(engine.append(plain(vec![event("a", "x"); 2000]))).expect("accepted");
    let faults = store.faults();
    let before = faults.headers_read();
    faults.stall();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut search = engine.locate(selection(&["a"]), LocateBy::Newest(1900));
        while faults.waiting() == 0 {
            let polled = std::future::poll_fn(|cx| Poll::Ready(search.as_mut().poll(cx))).await;
            assert!(polled.is_pending());
            tokio::task::yield_now().await;
        }
    });
    faults.resume();
    drop(runtime); // waits for the search's thread
    assert!(faults.headers_read() - before < 100, "one step at most");
}

#[test]
fn one_busy_topic_among_idle_ones_fills_its_pages() {
    let fixture = Memory::new();
    fixture.publish_all(&["busy"; 300]);
    for n in 0..50 {
        fixture.publish(&format!("idle/{n}"));
    }
    let filters = ReadRequest { max_events: 200, ..request(selection(&["**"]), ReadFrom::After(Seq(0))) };
    let page = wait(fixture.engine.read(filters)).expect("readable");
    assert_eq!((page.items.len(), page.through), (200, Seq(200)));
}

#[test]
fn the_last_event_of_an_emptied_topic_stays_until_its_end_is_recorded() {
    let fixture = Memory::new();
    fixture.publish("a");
    faults(&fixture).set_full(true);
    let limits = fixture.engine.configure(topic("b"), TopicChange::default());
    assert_eq!(wait(limits).err(), Some(AppendError::Full));
    faults(&fixture).set_full(false);
    fixture.configure("a", TopicChange { max_age: Some(Some(Duration::from_secs(1))), ..Default::default() });
    faults(&fixture).set_full(true);
    fixture.advance(Duration::from_secs(2));
    assert_eq!(fixture.state("a").expect("known").events, 0);
    let writes = faults(&fixture).writes();
    fixture.until("asked to record its end, and refused", |_| faults(&fixture).writes() > writes + 2);
    let stored = || {
        fixture
            .factory
            .store
            .0
            .topic_headers((TopicKey(1), &topic("a")), Seq(0), Seq(u64::MAX), 100)
            .expect("readable")
            .len()
    };
    assert_eq!(stored(), 1, "its last event");
    faults(&fixture).set_full(false);
    fixture.until("reclaimed", |_| stored() == 0);
}

/// A name whose deleted incarnation ended at position 2 is used again during a read after position 1, at the worst
/// moment.
#[test]
fn a_name_that_is_used_again_during_a_read_keeps_its_gap() {
    // The store's read after which the name is used again, and the reader's filters.
    let cases = [
        (InterruptedRead::Marks, &["**"][..], 1024),
        (InterruptedRead::Headers, &["b", "t"], 1024),
        (InterruptedRead::Marks, &["**"], 0),
    ];
    for (moment, filters, merge_topics) in cases {
        let fixture = Memory::with(LogConfig { merge_topics, ..LogConfig::fixture() });
        fixture.publish_all(&["b", "t", "b"]);
        assert!(fixture.delete("t"));
        let engine = Arc::clone(&fixture.engine);
        let again = move || drop(wait(engine.append(plain(vec![event("t", "again")]))).expect("accepted"));
        faults(&fixture).after_next(moment, again);
        let page = fixture.read_in_pages(filters, ReadFrom::After(Seq(1)), 100, usize::MAX);
        assert_eq!(fixture.engine.head().seq, Seq(4), "{moment:?} was read for {filters:?}");
        assert_eq!(short(&page), ["t!4", "3"], "{moment:?}, {filters:?}, {merge_topics}");
        assert_eq!(page.through, Seq(3), "events appended meanwhile are for the next page");
    }
}

#[test]
fn a_name_that_is_deleted_and_used_again_during_a_scan_keeps_its_gap() {
    let fixture = Memory::with(LogConfig { merge_topics: 0, ..LogConfig::fixture() });
    fixture.publish_all(&["b", "t", "b"]);
    let (deleting, using) = (Arc::clone(&fixture.engine), Arc::clone(&fixture.engine));
    faults(&fixture)
        .after_next(InterruptedRead::Scan, move || assert!(wait(deleting.delete(topic("t"))).expect("accepted")));
    let again = move || drop(wait(using.append(plain(vec![event("t", "again")]))).expect("accepted"));
    faults(&fixture).after_next(InterruptedRead::Marks, again);
    let page = fixture.read(&["**"], ReadFrom::After(Seq(1)));
    assert_eq!(fixture.engine.head().seq, Seq(4), "the marks were read");
    assert_eq!((short(&page), page.through), (vec!["t!4".to_owned(), "3".to_owned()], Seq(3)));
}

#[test]
fn what_is_committed_while_its_topic_is_trimmed_is_counted_once() {
    let age = Duration::from_secs(10);
    let fixture = Memory::with_retention(Retention { max_age: Some(age), ..Retention::default() });
    fixture.publish("a");
    fixture.advance(age / 2);
    let (engine, advance) = (Arc::clone(&fixture.engine), fixture.advancing());
    faults(&fixture).after_next(InterruptedRead::Commit, move || {
        advance(age * 3 / 4); // the first event is past its age, the second is not
        wait(engine.measure(&topic("a"))).expect("readable");
    });
    fixture.publish("a");
    let state = fixture.state("a").expect("in use");
    assert_eq!((state.first, state.events, state.bytes), (Some(Seq(2)), 1, 10));
}

/// The fixture's observer reads each event when it is handed up, which trims what is too old, and checks that the event is
/// still there.
#[test]
fn an_event_is_trimmed_only_when_the_observer_has_it() {
    let fixture = Memory::new();
    let age = Duration::from_secs(10);
    fixture.configure("a", TopicChange { max_age: Some(Some(age)), ..TopicChange::default() });
    let advance = fixture.advancing();
    faults(&fixture).after_next(InterruptedRead::Commit, move || advance(2 * age));
    fixture.publish("a");
    fixture.until("it is trimmed", |_| fixture.state("a").is_some_and(|state| state.events == 0));
}

#[test]
fn what_is_committed_to_an_emptied_topic_is_no_garbage_before_the_table_has_it() {
    let store = MemoryStore::new();
    let config = LogConfig { reclaim_every: Duration::from_millis(1), ..LogConfig::fixture() };
    let engine = LogEngine::open(store.clone(), config, Arc::new(RecordingObserver::default()));
    let publish = || wait(engine.append(plain(vec![event("a", "x")]))).expect("accepted")[0].seq;
    let limit = |most| {
        let change = TopicChange { max_events: Some(most), ..TopicChange::default() };
        wait(engine.configure(topic("a"), change)).expect("configured");
    };
    publish();
    limit(Some(0));
    let is_recorded =
        || engine.shared.catalog.table.read().get(&topic("a")).is_some_and(|slot| slot.is(Flag::EndRecorded));
    while !is_recorded() {
        std::thread::sleep(Duration::from_millis(1));
    }
    limit(None);
    let shared = Arc::clone(&engine.shared);
    store.faults().after_next(InterruptedRead::Commit, move || shared.store.reclaim(&*shared).expect("reclaimed"));
    let seq = publish();
    let read = ReadRequest { selection: selection(&["a"]), from: ReadFrom::Earliest, max_events: 9, max_bytes: 99 };
    assert_eq!(short(&wait(engine.read(read)).expect("readable")), [seq.to_string()]);
}

/// As below, of a topic that a restart has found empty: its first event after that gives it another key.
#[test]
fn an_emptied_topic_that_is_used_again_after_a_restart_is_reported_by_the_last_page() {
    let reclaim_every = Duration::from_millis(1);
    let mut fixture = Memory::with(LogConfig { merge_topics: 0, reclaim_every, ..LogConfig::fixture() });
    fixture.publish_all(&["a", "b"]);
    fixture.trim("a", 0);
    fixture.until("it is reclaimed", |_| chain(&fixture) == [(2, 0)]);
    fixture.reopen();
    let engine = Arc::clone(&fixture.engine);
    faults(&fixture).after_next(InterruptedRead::Scan, move || {
        wait(engine.append(plain(vec![event("a", "x")]))).expect("accepted");
        let events = || wait(engine.measure(&topic("a"))).expect("readable").map(|state| state.events);
        while events() != Some(0) {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let page = fixture.read(&["**"], ReadFrom::After(Seq(0)));
    assert_eq!((fixture.engine.head().seq, page.through, page.at_end), (Seq(3), Seq(2), true));
    assert_eq!(short(&page), ["2", "a!-"]);
}

/// After the last page of the log a reader continues in the ring, and no later page reports anything to it.
#[test]
fn what_retention_trims_while_the_last_page_is_read_is_reported_by_it() {
    // The read after which the topic continues, the filters, and whether the page is merged, picked or walked.
    let (one, two, all) = (&["a"][..], &["a", "b"][..], &["**"][..]);
    let cases = [
        (InterruptedRead::Events, one, 1024, 1024),
        (InterruptedRead::Headers, two, 1024, 1024),
        (InterruptedRead::Events, all, 1024, 1024),
        (InterruptedRead::Scan, two, 1024, 0),
        (InterruptedRead::Scan, all, 0, 0),
    ];
    let newest_two = Retention { max_events: Some(2), ..Retention::default() };
    for (moment, filters, merge_topics, pick_topics) in cases {
        let rules = Rules { default: newest_two, ..Rules::default() };
        let fixture = Memory::with(LogConfig { rules, merge_topics, pick_topics, ..LogConfig::fixture() });
        fixture.publish_all(&["a", "b", "a"]);
        let engine = Arc::clone(&fixture.engine);
        faults(&fixture).after_next(moment, move || {
            wait(engine.append(plain(vec![event("a", "x"); 3]))).expect("accepted");
            let trimmed =
                || wait(engine.measure(&topic("a"))).expect("readable").and_then(|state| state.first) == Some(Seq(5));
            while !trimmed() {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let page = fixture.read(filters, ReadFrom::After(Seq(1)));
        let case = format!("{moment:?}, {filters:?}, {merge_topics}, {pick_topics}");
        assert_eq!((fixture.engine.head().seq, page.through, page.at_end), (Seq(6), Seq(3), true), "{case}");
        let told = if filters == one { vec!["a!-"] } else { vec!["2", "a!-"] };
        assert_eq!(short(&page), told, "{case}");
        let next = ["a!5", "5", "6"];
        assert_eq!(short(&fixture.read(filters, ReadFrom::After(Seq(3)))), next, "a reader of pages: {case}");
    }
}

/// A store without reclaimed space, opened with limits that it exceeds. The retention thread is blocked in its first
/// round until the returned sender is dropped.
fn reopened_over(rules: Rules) -> (Memory, std::sync::mpsc::Sender<()>) {
    let mut fixture = Memory::new();
    fixture.publish_all(&["a", "b", "a", "a"]);
    fixture.engine.close();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (begins, begun) = std::sync::mpsc::channel();
    faults(&fixture).after_next(InterruptedRead::Headers, move || {
        begins.send(()).expect("awaited");
        let _ = held.recv_timeout(Duration::from_secs(10)); // ends when the sender is dropped
    });
    fixture.factory.config.rules = rules;
    fixture.start();
    begun.recv_timeout(Duration::from_secs(10)).expect("the retention thread reads what exceeds the limits");
    (fixture, release)
}

#[test]
fn trimmed_events_do_not_reappear_before_the_first_retention_round() {
    let default = Retention { max_events: Some(2), ..Retention::default() };
    for filters in [&["a"][..], &["a", "b"], &["**"]] {
        let (fixture, release) = reopened_over(Rules { default, ..Rules::default() });
        assert!(!fixture.engine.catalog().is_retained(&topic("a"), Seq(1)));
        let b = if filters.len() == 1 && filters[0] == "a" { vec![] } else { vec!["2"] };
        assert_eq!(short(&fixture.read(filters, ReadFrom::Earliest)), [b, vec!["3", "4"]].concat(), "{filters:?}");
        assert!(
            fixture.engine.catalog().is_retained(&topic("a"), Seq(3))
                && fixture.engine.catalog().is_retained(&topic("b"), Seq(2))
        );
        assert_eq!(fixture.state("a").expect("known").events, 2);
        drop(release);
    }
    let (fixture, release) = reopened_over(Rules { default, ..Rules::default() });
    assert_eq!(fixture.state("a").expect("known").events, 2, "nor in the topic's state");
    drop(release);
}

#[test]
fn a_reader_waits_for_the_first_round_when_the_store_is_over_its_cap() {
    let (fixture, release) = reopened_over(Rules { max_store_bytes: Some(20), ..Rules::default() });
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            drop(release);
        });
        assert_eq!(short(&fixture.read(&["**"], ReadFrom::Earliest)), ["3", "4"]);
    });
}

#[test]
fn a_removal_whose_notice_was_refused_is_completed_by_a_repeat_or_after_a_restart() {
    for restart in [false, true] {
        let mut fixture = Memory::new();
        fixture.publish("a");
        fixture.publish("a");
        faults(&fixture).fill_after(1);
        let remove = |fixture: &Memory| wait(fixture.engine.remove(topic("a"), fixture.id(Seq(1))));
        assert_eq!(remove(&fixture), Err(AppendError::Full), "its notice did not fit");
        assert_eq!(
            (fixture.engine.head().seq, fixture.observer.removed.lock().len()),
            (Seq(2), 1),
            "it is not readable any more"
        );
        assert_eq!(remove(&fixture), Err(AppendError::Full));
        faults(&fixture).set_full(false);
        if restart {
            fixture.reopen();
            assert_eq!(fixture.engine.pending_removals(), [(topic("a"), Seq(1))]);
        }
        for _ in 0..2 {
            assert_eq!((remove(&fixture), fixture.engine.head().seq), (Ok(true), Seq(3)), "one notice");
            assert_eq!(fixture.engine.pending_removals(), []);
        }
    }
}

#[test]
fn a_notice_pending_after_a_crash_is_appended_once() {
    let mut fixture = Memory::new();
    fixture.publish("a");
    assert!(fixture.remove("a", Seq(1)));
    // As if a crash came after the notice was durable, and before the removal was cleared.
    fixture.engine.close();
    fixture.factory.store.0.leave_pending(TopicKey(1), Seq(1));
    fixture.start();
    assert_eq!(fixture.engine.pending_removals(), [(topic("a"), Seq(1))]);
    assert!(fixture.remove("a", Seq(1)));
    assert_eq!((fixture.engine.head().seq, fixture.engine.pending_removals()), (Seq(2), vec![]));
    fixture.delete("a");
    fixture.engine.close();
    fixture.factory.store.0.leave_pending(TopicKey(1), Seq(1));
    fixture.start();
    assert_eq!(fixture.engine.pending_removals(), [], "not for a deleted topic");
    fixture.reopen();
    assert_eq!(fixture.engine.pending_removals(), []);
}

#[test]
fn a_removal_appends_its_notice_when_key_memory_is_full() {
    let fixture = Memory::with(LogConfig { idempotency_keys: 1, ..LogConfig::fixture() });
    fixture.append(keyed(1, 1, vec![event("a", "1")])).expect("accepted");
    assert!(matches!(fixture.append(keyed(2, 1, vec![event("a", "2")])), Err(AppendError::KeysFull { .. })));
    assert!(fixture.remove("a", Seq(1)));
    assert_eq!((fixture.engine.head().seq, fixture.engine.pending_removals()), (Seq(2), vec![]), "its notice");
}

#[test]
fn a_removal_that_may_be_partly_written_poisons_the_engine() {
    let mut fixture = Memory::new();
    fixture.publish("a");
    faults(&fixture).fail_next();
    assert!(is_unavailable(&wait(fixture.engine.remove(topic("a"), fixture.id(Seq(1))))));
    assert!(is_unavailable(&fixture.append(plain(vec![event("b", "3")]))));
    fixture.reopen();
    assert!(fixture.remove("a", Seq(1)));
}

#[test]
fn a_publisher_of_large_batches_leaves_room_in_the_queue() {
    let fixture = Memory::with(LogConfig { queue_bytes: 100_000, ..LogConfig::fixture() });
    faults(&fixture).hold();
    let large = || fixture.engine.append(plain(vec![event("large", "x"); 600]));
    let first = large();
    fixture.until("the writer waits", |_| faults(&fixture).writes() == 1);
    assert_eq!(wait(large()), Err(AppendError::Busy), "it is more than all of the queue");
    let small: Vec<_> = (0..90).map(|_| fixture.engine.append(plain(vec![event("small", "x")]))).collect();
    let beyond: Vec<_> = (0..90).map(|_| fixture.engine.append(plain(vec![event("small", "x")]))).collect();
    faults(&fixture).release();
    assert!(wait(first).is_ok());
    assert!(small.into_iter().all(|answer| wait(answer).is_ok()));
    assert!(beyond.into_iter().any(|answer| wait(answer) == Err(AppendError::Busy)), "the reserve is bounded, too");
    assert!(wait(large()).is_ok(), "and the next one");
    fixture.until("all is done", |engine| status(engine).queued_bytes == 0);
}

#[test]
fn pages_read_backwards_are_the_same_by_a_merge_and_by_a_scan() {
    for merge_topics in [0, 3, 1000] {
        let mut fixture = Memory::with(LogConfig { merge_topics, ..LogConfig::fixture() });
        for n in 0..40 {
            for topic in ["a", "b/1", "b/2", "b/3", "c"] {
                if n % topic.len() != 1 || topic == "a" {
                    fixture.publish_bytes(topic, 10 * (n + 1));
                }
            }
        }
        fixture.trim("b/2", 5);
        fixture.delete("c");
        for reopened in [false, true] {
            if reopened {
                fixture.reopen();
            }
            for filters in [&["b/*"][..], &["**"], &["a", "b/1", "b/2", "b/3"]] {
                let all = short(&fixture.read(filters, ReadFrom::Earliest));
                for before in [1, 30, 77, 1000] {
                    let want: Vec<_> =
                        all.iter().filter(|seq| seq.parse::<u64>().expect("a position") < before).cloned().collect();
                    for limit in [(1, usize::MAX), (9, usize::MAX), (1000, 700)] {
                        let found = read_all_back(&fixture, filters, before, limit);
                        assert_eq!(found, want, "{merge_topics}: {limit:?} of {filters:?} < {before}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_page_read_backwards_reports_what_the_disk_lost() {
    for merge_topics in [0, 1000] {
        let fixture = after_a_loss(merge_topics);
        let all = (10, usize::MAX);
        assert_eq!(short_back(read_back(&fixture, &["a"], 100, all)), ["1", "3", "a?-"]);
        assert_eq!(short_back(read_back(&fixture, &["c"], 100, all)), ["2", "c?7", "7"]);
        assert_eq!(short_back(read_back(&fixture, &["c"], 7, all)), ["2", "c?7"], "the loss is before 7");
        assert_eq!(short_back(read_back(&fixture, &["c"], 3, all)), ["2"], "and after 2");
        assert_eq!(read_all_back(&fixture, &["**"], 100, (2, usize::MAX)), ["1", "2", "3", "a?-", "c?7", "7"]);
        fixture.publish("a");
        assert_eq!(short_back(read_back(&fixture, &["a"], 8, all)), ["1", "3", "a?8"]);
        assert_eq!(short_back(read_back(&fixture, &["a"], 4, all)), ["1", "3"]);
    }
}

#[test]
fn a_page_read_backwards_costs_what_it_holds_and_not_what_its_topics_hold() {
    let fixture = Memory::new();
    for round in 0..20 {
        let events = (0..500).flat_map(|_| [event("a", "x"), event(&format!("b/{round}"), "x")]);
        fixture.append(plain(events.collect())).expect("accepted");
    }
    for filters in [&["a"][..], &["a", "b/3"], &["**"]] {
        for before in [100, 5000, 10_001, 20_000] {
            let reads = faults(&fixture).headers_read();
            let page = read_back(&fixture, filters, before, (10, usize::MAX));
            assert_eq!(page.items.len(), 10);
            let reads = faults(&fixture).headers_read() - reads;
            assert!(reads < 200, "{reads} headers for ten events of {filters:?} before {before}");
        }
    }
}

/// A change of the metadata of a topic that has none.
fn made(bytes: usize) -> TopicChange {
    let metadata = Some(MetadataChange { from: None, to: Metadata::new(1, &vec![7; bytes - 1]).ok() });
    TopicChange { metadata, ..TopicChange::default() }
}

#[test]
fn a_conditional_change_that_may_be_stored_is_not_carried_out_again() {
    let store = MemoryStore::new();
    let observer = Arc::<RecordingObserver>::default();
    let engine = LogEngine::open_with(store.clone(), LogConfig::fixture(), observer, |mut writer| {
        while !writer.shared.queue.is_finished() {
            writer.lead();
        }
    });
    let change = |change| {
        store.faults().doubt_next();
        let before = store.faults().writes();
        let answer = wait(engine.configure(topic("a"), change));
        (is_unavailable(&answer), answer.is_ok(), store.faults().writes() - before)
    };
    assert_eq!(change(made(8)), (true, false, 1));
    assert_eq!(change(TopicChange::default()), (false, true, 2), "a second time does nothing");
    assert_eq!(wait(engine.configure(topic("a"), made(8))).expect("nothing was stored").events, 0);
    engine.close();
}

#[test]
fn metadata_counts_in_the_queue() {
    let fixture = Memory::with(LogConfig { queue_bytes: 40 << 10, ..LogConfig::fixture() });
    faults(&fixture).hold();
    let change = |name: &str| fixture.engine.configure(topic(name), made(Metadata::MAX_BYTES));
    let queued = ["a", "b"].map(change);
    assert_eq!(wait(change("c")), Err(AppendError::Busy));
    faults(&fixture).release();
    for answer in queued {
        wait(answer).expect("accepted");
    }
    wait(change("c")).expect("there is room again");
}
