//! What a bad disk and a full queue may do to an engine, and what they may not.

use std::{sync::Arc, time::Duration};

use super::{LogConfig, Store, store::TopicKey};
use crate::{
    engine::{
        AppendError, LifecycleChange, ReadFrom, ReadRequest, TopicChange,
        contract::{Fixture, MemoryFactory, closing, event, keyed, plain, request, selection, short, topic, wait},
        memory::{FaultInjector, InterruptedRead},
    },
    event::{Millis, Retention, Seq, retention::Rules},
};

type Memory = Fixture<MemoryFactory>;

fn faults(house: &Memory) -> &FaultInjector {
    house.bed.0.faults()
}

fn is_unavailable<T>(answer: &Result<T, AppendError>) -> bool {
    matches!(answer, Err(AppendError::Unavailable { reason }) if reason.contains("injected"))
}

#[test]
fn after_a_failed_commit_nothing_is_acknowledged_again() {
    let mut house = Memory::new();
    house.publish("a");
    faults(&house).hold();
    let first = house.engine.append(plain(vec![event("a", "1")]));
    house.until("the first is being written", |_| faults(&house).writes() == 2);
    let queued: Vec<_> = (0..10).map(|_| house.engine.append(plain(vec![event("a", "2")]))).collect();
    let change = house.engine.delete(topic("a"));
    faults(&house).fail_next();
    faults(&house).release();
    assert!(is_unavailable(&wait(first)));
    assert!(queued.into_iter().all(|answer| is_unavailable(&wait(answer))));
    assert!(is_unavailable(&wait(change)));
    assert!(is_unavailable(&house.append(plain(vec![event("b", "3")]))));
    assert!(matches!(house.engine.status().refusing, Some(AppendError::Unavailable { .. })));
    assert_eq!((house.engine.head(), house.heard.events.lock().len()), (Seq(1), 1), "nobody heard of it");
    assert_eq!(short(&house.read(&["a"], ReadFrom::Earliest)), ["1"], "what was durable can be read");
    house.reopen();
    assert_eq!(house.publish("a"), Seq(2), "a restart looks at the disk and goes on");
}

#[test]
fn a_full_disk_uses_nothing_up_and_passes() {
    let house = Memory::new();
    let publish = || house.append(keyed(1, 1, vec![closing("a")]));
    faults(&house).set_full(true);
    assert_eq!(publish(), Err(AppendError::Full));
    assert_eq!(wait(house.engine.delete(topic("a"))), Ok(false));
    assert_eq!(house.engine.status().refusing, Some(AppendError::Full));
    assert_eq!((house.state("a"), house.engine.head()), (None, Seq(0)));
    faults(&house).set_full(false);
    assert_eq!(publish().map(|receipts| receipts[0].seq), Ok(Seq(1)), "neither the position nor the key was used up");
    assert_eq!(house.engine.status().refusing, None);
    assert_eq!(house.heard.events.lock().len(), 1);
}

#[test]
fn a_refusal_that_rests_on_a_refused_commit_is_the_disks() {
    let house = Memory::new();
    faults(&house).hold();
    let before = house.engine.append(plain(vec![event("b", "1")]));
    house.until("the writer waits", |_| faults(&house).writes() == 1);
    // In one group: the second is refused only because of the first.
    let close = house.engine.append(plain(vec![closing("a")]));
    let late = house.engine.append(plain(vec![event("a", "x")]));
    faults(&house).set_full(true);
    faults(&house).release();
    for answer in [before, close, late] {
        assert_eq!(wait(answer), Err(AppendError::Full));
    }
}

#[test]
fn what_waits_shares_one_commit() {
    let house = Memory::new();
    faults(&house).hold();
    let answers: Vec<_> = (0..512).map(|_| house.engine.append(plain(vec![event("a", "x")]))).collect();
    house.until("the writer waits", |_| faults(&house).writes() == 1);
    faults(&house).release();
    assert!(answers.into_iter().all(|answer| wait(answer).is_ok()));
    assert!(faults(&house).writes() <= 3, "{} writes", faults(&house).writes());
}

#[test]
fn events_that_a_full_queue_does_not_take_come_back_and_a_refused_commit_refuses_all() {
    let house = Memory::with(LogConfig { queue_bytes: 2000, ..LogConfig::default() });
    faults(&house).hold();
    let events: Vec<_> = ["1", "2", "3", "4", "5"].map(|data| event("a", data)).to_vec();
    let first = house.engine.append_each(events.clone()).expect("the queue is empty");
    let returned = house.engine.append_each(events.clone()).err().expect("the queue is full");
    house.until("the writer waits", |_| faults(&house).writes() == 1);
    faults(&house).set_full(true);
    faults(&house).release();
    assert_eq!((returned.events, returned.error), (events.clone(), AppendError::Busy));
    assert_eq!(wait(first), Err(AppendError::Full));
    faults(&house).set_full(false);
    let receipts = wait(house.engine.append_each(events).expect("room again")).expect("committed");
    assert_eq!(receipts[0].as_ref().map(|receipt| receipt.seq), Ok(Seq(1)), "nothing was used up");
}

#[test]
fn a_group_is_bounded_by_events_and_by_bytes() {
    for (group_events, group_bytes) in [(10, usize::MAX), (usize::MAX, 100)] {
        let house = Memory::with(LogConfig { group_events, group_bytes, ..LogConfig::default() });
        faults(&house).hold();
        let answers: Vec<_> = (0..100).map(|_| house.engine.append(plain(vec![event("a", "0123456789")]))).collect();
        house.until("the writer waits", |_| faults(&house).writes() == 1);
        faults(&house).release();
        assert!(answers.into_iter().all(|answer| wait(answer).is_ok()));
        assert!(faults(&house).writes() >= 10, "{} writes", faults(&house).writes());
        let large = vec![event("a", "0123456789"); 50];
        assert!(house.append(plain(large)).is_ok(), "one append may be larger than a group");
    }
}

#[test]
fn a_full_queue_refuses_until_it_is_written() {
    let house = Memory::with(LogConfig { queue_bytes: 2000, ..LogConfig::default() });
    let publish = |bytes: usize| house.engine.append(plain(vec![event("a", &"x".repeat(bytes))]));
    faults(&house).hold();
    let taken: Vec<_> = (0..2).map(|_| publish(600)).collect();
    assert_eq!(wait(publish(600)), Err(AppendError::Busy));
    assert!(house.engine.status().queued_bytes > 1200);
    faults(&house).release();
    assert!(taken.into_iter().all(|answer| wait(answer).is_ok()));
    house.until("room again", |engine| engine.status().queued_bytes == 0);
    assert!(wait(publish(5000)).is_ok(), "one that is larger than the queue is taken when nothing waits");
}

#[test]
fn a_twin_in_flight_waits_and_a_dropped_answer_cancels_nothing() {
    let house = Memory::new();
    faults(&house).hold();
    drop(house.engine.append(keyed(1, 1, vec![event("a", "1")])));
    house.until("being written", |_| faults(&house).writes() == 1);
    let twin = house.engine.append(keyed(1, 1, vec![event("a", "1")]));
    let other = house.engine.append(keyed(1, 2, vec![event("a", "2")]));
    faults(&house).release();
    assert_eq!(wait(twin).map(|receipts| receipts[0].seq), Ok(Seq(1)));
    assert_eq!(wait(other), Err(AppendError::KeyReused));
    assert_eq!(house.engine.head(), Seq(1));
}

#[test]
fn a_key_is_for_one_request_also_within_one_commit() {
    let house = Memory::new();
    faults(&house).hold();
    let before = house.engine.append(plain(vec![event("a", "0")]));
    house.until("the writer waits", |_| faults(&house).writes() == 1);
    let first = house.engine.append(keyed(1, 1, vec![event("a", "1")]));
    let twin = house.engine.append(keyed(1, 1, vec![event("a", "1")]));
    let other = house.engine.append(keyed(1, 2, vec![event("a", "2")]));
    faults(&house).release();
    let [before, first, twin] = [before, first, twin].map(|answer| wait(answer).map(|receipts| receipts[0].seq));
    assert_eq!((before, first, twin), (Ok(Seq(1)), Ok(Seq(2)), Ok(Seq(2))));
    assert_eq!(wait(other), Err(AppendError::KeyReused));
}

#[test]
fn nobody_sees_what_is_not_durable() {
    let house = Memory::new();
    faults(&house).hold();
    let answer = house.engine.append(plain(vec![closing("a")]));
    house.until("being written", |_| faults(&house).writes() == 1);
    assert_eq!((house.state("a"), house.engine.head()), (None, Seq(0)));
    assert!(house.read(&["**"], ReadFrom::Earliest).items.is_empty());
    assert!(house.heard.events.lock().is_empty() && house.heard.turns.lock().is_empty());
    faults(&house).release();
    wait(answer).expect("accepted");
    assert_eq!(*house.heard.turns.lock(), [(topic("a"), LifecycleChange::Closed { last: Seq(1) })]);
}

/// Positions 4 to 6 are lost: the only events of `b`, and the newest of `a`.
fn after_a_loss(merge_topics: usize) -> Memory {
    let mut house = Memory::with(LogConfig { merge_topics, ..LogConfig::default() });
    house.publish_all(&["a", "c", "a", "a", "b", "c", "c"]);
    house.engine.close();
    house.bed.0.damage(Seq(4), Seq(6));
    faults(&house).set_lost(vec![(Seq(4), Seq(6))]);
    house.start();
    house
}

#[test]
fn events_lost_before_a_start_are_told() {
    for merge_topics in [0, 1000] {
        let house = after_a_loss(merge_topics);
        assert_eq!(short(&house.read(&["a"], ReadFrom::After(Seq(1)))), ["3", "a?-"]);
        assert_eq!(short(&house.read(&["a"], ReadFrom::After(Seq(5)))), ["a?-"]);
        assert_eq!(short(&house.read(&["a"], ReadFrom::After(Seq(6)))), [""; 0]);
        assert_eq!(short(&house.read(&["b"], ReadFrom::After(Seq(5)))), ["b?-"], "b is not even known any more");
        assert_eq!(short(&house.read(&["c"], ReadFrom::After(Seq(2)))), ["c?7", "7"]);
        let all = ["1", "2", "3", "a?-", "c?7", "7"];
        assert_eq!(short(&house.read(&["**"], ReadFrom::After(Seq(0)))), all);
        assert_eq!(short(&house.read_in_pages(&["**"], ReadFrom::After(Seq(0)), 1, 1)), all);
        assert_eq!(house.state("a").expect("known").last, Some(Seq(6)), "as far as it may have gone");
        assert_eq!(house.publish("a"), Seq(8));
        assert_eq!(house.publish("b"), Seq(9));
        let prevs: Vec<Seq> = house.heard.events.lock().iter().map(|event| event.prev).collect();
        assert_eq!(prevs, [Seq(6), Seq(6)], "an older cursor sees a hole");
        assert_eq!(short(&house.read(&["a"], ReadFrom::After(Seq(1)))), ["3", "a?8", "8"]);
        assert_eq!(short(&house.read(&["b"], ReadFrom::After(Seq(5)))), ["b?9", "9"]);
        assert_eq!(short(&house.read(&["b"], ReadFrom::Earliest)), ["9"]);
    }
}

/// Positions 3 and 4 are lost, and `b` with them; `a` was closed at 1 and `c` at 5, by settings. `d` was never used.
#[test]
fn a_topic_that_was_closed_before_a_loss_is_told_nothing_of_it() {
    for merge_topics in [0, 1000] {
        let mut house = Memory::with(LogConfig { merge_topics, ..LogConfig::default() });
        house.publish_all(&["a", "c", "b", "b", "c"]);
        for name in ["a", "c", "d"] {
            house.configure(name, TopicChange { closed: Some(true), ..TopicChange::default() });
        }
        house.engine.close();
        house.bed.0.damage(Seq(3), Seq(4));
        faults(&house).set_lost(vec![(Seq(3), Seq(4))]);
        house.start();
        for _ in 0..2 {
            let last = |name| house.state(name).expect("in use").last;
            assert_eq!((last("a"), last("c"), last("d")), (Some(Seq(1)), Some(Seq(5)), None));
            for (name, kept) in [("a", &["1"][..]), ("c", &["2", "5"]), ("d", &[])] {
                for from in [ReadFrom::Earliest, ReadFrom::After(Seq(0))] {
                    assert_eq!(short(&house.read(&[name], from)), kept, "{name} {from:?}");
                }
            }
            let all = short(&house.read(&["a", "c", "d"], ReadFrom::After(Seq(0))));
            assert_eq!(all, ["1", "2", "5"]);
            house.reopen();
        }
        house.configure("a", TopicChange { closed: Some(false), ..TopicChange::default() });
        house.publish("a");
        assert_eq!(short(&house.read(&["a"], ReadFrom::After(Seq(1)))), ["6"], "nor when it is used on");
    }
}

#[test]
fn a_closed_topic_whose_last_event_is_lost_ends_where_it_ended() {
    let mut house = Memory::new();
    house.publish_all(&["a", "a", "b", "b"]);
    house.configure("a", TopicChange { closed: Some(true), ..TopicChange::default() });
    house.engine.close();
    house.bed.0.damage(Seq(2), Seq(3));
    faults(&house).set_lost(vec![(Seq(2), Seq(3))]);
    house.start();
    assert_eq!(house.state("a").expect("in use").last, Some(Seq(2)));
    assert_eq!(short(&house.read(&["a"], ReadFrom::Earliest)), ["1", "a?-"]);
    assert_eq!(short(&house.read(&["a"], ReadFrom::After(Seq(1)))), ["a?-"]);
    assert_eq!(short(&house.read(&["a"], ReadFrom::After(Seq(2)))), [""; 0], "who has its last has missed nothing");
}

#[test]
fn a_loss_at_the_very_end_is_told_and_its_ids_are_not_used_again() {
    let mut house = Memory::new();
    house.publish_all(&["a", "a"]);
    house.engine.close();
    faults(&house).set_lost(vec![(Seq(3), Seq(9))]);
    house.start();
    assert_eq!(house.engine.head(), Seq(9), "ids up to there may have been seen");
    assert_eq!(short(&house.read(&["a"], ReadFrom::After(Seq(5)))), ["a?-"]);
    assert_eq!(house.publish("a"), Seq(10));
}

#[test]
fn damage_under_a_running_engine_is_told_once_wherever_pages_are_cut() {
    for merge_topics in [0, 1000] {
        let house = Memory::with(LogConfig { merge_topics, ..LogConfig::default() });
        house.publish_all(&["a", "b", "a", "b", "b", "a", "b"]);
        house.bed.0.damage(Seq(3), Seq(4));
        house.bed.0.damage(Seq(7), Seq(7));
        for filters in [&["a", "b"][..], &["**"]] {
            let told = ["1", "2", "a?6", "b?5", "5", "6", "b?-"];
            assert_eq!(short(&house.read(filters, ReadFrom::After(Seq(0)))), told, "{filters:?}");
            assert_eq!(short(&house.read_in_pages(filters, ReadFrom::After(Seq(0)), 1, 1)), told, "{filters:?}");
        }
        assert_eq!(short(&house.read_in_pages(&["b"], ReadFrom::After(Seq(0)), 1, 1)), ["2", "b?5", "5", "b?-"]);
    }
}

#[test]
fn space_is_taken_back_but_never_from_what_is_kept() {
    let house = Memory::keeping(Retention { max_events: Some(2), ..Retention::default() });
    house.publish_all(&["a", "a", "a", "b", "a", "gone"]);
    house.delete("gone");
    let stored = |key: u64| house.bed.0.topic_headers(TopicKey(key), Seq(0), 100).expect("readable").len();
    house.until("taken back", |_| stored(1) == 2 && stored(6) == 0);
    assert_eq!(stored(4), 1);
    house.trim("b", 0);
    house.until("remembered, then taken back", |_| stored(4) == 0);
    assert_eq!(house.state("b").expect("still known").last, Some(Seq(4)));
}

#[test]
fn a_trim_reads_little_more_than_it_lets_go_of() {
    let house = Memory::keeping(Retention { max_events: Some(1000), ..Retention::default() });
    house.publish_all(&["a"; 1000]);
    let before = faults(&house).headers_read();
    house.publish("a");
    house.until("trimmed", |_| house.state("a").expect("known").events == 1000);
    let read = faults(&house).headers_read() - before;
    assert!((2..=100).contains(&read), "{read} headers for one event too many");
}

#[test]
fn since_tells_a_gap_also_when_the_space_was_taken_back() {
    let house = Memory::new();
    house.publish("a");
    house.pass(Duration::from_secs(1));
    let trimmed = house.publish_bytes("a", 1).time;
    house.pass(Duration::from_secs(1));
    house.publish("a");
    house.trim("a", 1);
    let stored = || house.bed.0.topic_headers(TopicKey(1), Seq(0), 100).expect("readable").len();
    house.until("taken back", |_| stored() == 1);
    let later = Millis(trimmed.0 + 1);
    for filters in [&["a"][..], &["a", "b"], &["**"]] {
        assert_eq!(short(&house.read(filters, ReadFrom::Since(trimmed))), ["a!3", "3"], "{filters:?}");
        assert_eq!(short(&house.read(filters, ReadFrom::Since(later))), ["3"], "{filters:?}");
    }
}

#[test]
fn one_busy_topic_among_idle_ones_fills_its_pages() {
    let house = Memory::new();
    house.publish_all(&["busy"; 300]);
    for n in 0..50 {
        house.publish(&format!("idle/{n}"));
    }
    let wish = ReadRequest { max_events: 200, ..request(selection(&["**"]), ReadFrom::After(Seq(0))) };
    let page = house.engine.read(&wish).expect("readable");
    assert_eq!((page.items.len(), page.through), (200, Seq(200)));
}

#[test]
fn an_emptied_topic_stays_stored_until_it_is_remembered() {
    let house = Memory::new();
    house.publish("a");
    faults(&house).set_full(true);
    let limits = house.engine.configure(topic("b"), TopicChange::default());
    assert_eq!(wait(limits).err(), Some(AppendError::Full));
    faults(&house).set_full(false);
    house.configure("a", TopicChange { max_age: Some(Some(Duration::from_secs(1))), ..Default::default() });
    faults(&house).set_full(true);
    house.pass(Duration::from_secs(2));
    assert_eq!(house.state("a").expect("known").events, 0);
    let writes = faults(&house).writes();
    house.until("asked to remember, and refused", |_| faults(&house).writes() > writes + 2);
    let stored = || house.bed.0.topic_headers(TopicKey(1), Seq(0), 100).expect("readable").len();
    assert_eq!(stored(), 1, "the witness");
    faults(&house).set_full(false);
    house.until("taken back", |_| stored() == 0);
}

/// A name whose deleted life ended at position 2, before a reader who has seen position 1 met it, is used again while
/// the page is made, at the worst moment.
#[test]
fn a_name_that_is_used_again_while_a_page_is_made_keeps_its_gap() {
    // By which read the name is used again, and what the reader asks for.
    let cases = [
        (InterruptedRead::Marks, &["**"][..], 1024),
        (InterruptedRead::Headers, &["b", "t"], 1024),
        (InterruptedRead::Marks, &["**"], 0),
    ];
    for (moment, filters, merge_topics) in cases {
        let house = Memory::with(LogConfig { merge_topics, ..LogConfig::default() });
        house.publish_all(&["b", "t", "b"]);
        assert!(house.delete("t"));
        let engine = Arc::clone(&house.engine);
        let again = move || drop(wait(engine.append(plain(vec![event("t", "again")]))).expect("accepted"));
        faults(&house).after_next(moment, again);
        let page = house.read_in_pages(filters, ReadFrom::After(Seq(1)), 100, usize::MAX);
        assert_eq!(house.engine.head(), Seq(4), "{moment:?} was read for {filters:?}");
        assert_eq!(short(&page), ["t!4", "3"], "{moment:?}, {filters:?}, {merge_topics}");
        assert_eq!(page.through, Seq(3), "what came meanwhile is the next page's");
    }
}

#[test]
fn a_name_that_is_deleted_and_used_again_while_the_log_is_walked_keeps_its_gap() {
    let house = Memory::with(LogConfig { merge_topics: 0, ..LogConfig::default() });
    house.publish_all(&["b", "t", "b"]);
    let (deleting, using) = (Arc::clone(&house.engine), Arc::clone(&house.engine));
    faults(&house)
        .after_next(InterruptedRead::Scan, move || assert!(wait(deleting.delete(topic("t"))).expect("accepted")));
    let again = move || drop(wait(using.append(plain(vec![event("t", "again")]))).expect("accepted"));
    faults(&house).after_next(InterruptedRead::Marks, again);
    let page = house.read(&["**"], ReadFrom::After(Seq(1)));
    assert_eq!(house.engine.head(), Seq(4), "the marks were read");
    assert_eq!((short(&page), page.through), (vec!["t!4".to_owned(), "3".to_owned()], Seq(3)));
}

/// A store that has taken nothing back, opened with limits that it is beyond; the retention thread is held up in its
/// first round for as long as the answer's sender lives.
fn reopened_over(rules: Rules) -> (Memory, std::sync::mpsc::Sender<()>) {
    let mut house = Memory::new();
    house.publish_all(&["a", "b", "a", "a"]);
    house.engine.close();
    let (go_on, held) = std::sync::mpsc::channel::<()>();
    let (begins, begun) = std::sync::mpsc::channel();
    faults(&house).after_next(InterruptedRead::Headers, move || {
        begins.send(()).expect("awaited");
        let _ = held.recv_timeout(Duration::from_secs(10)); // ends when the sender is dropped
    });
    house.config.rules = rules;
    house.start();
    begun.recv_timeout(Duration::from_secs(10)).expect("the retention thread looks at what is too much");
    (house, go_on)
}

#[test]
fn what_was_trimmed_is_not_seen_again_before_the_first_round_of_retention() {
    let default = Retention { max_events: Some(2), ..Retention::default() };
    for filters in [&["a"][..], &["a", "b"], &["**"]] {
        let (house, go_on) = reopened_over(Rules { default, ..Rules::default() });
        assert!(!house.engine.keeps(&topic("a"), Seq(1)));
        let b = if filters.len() == 1 && filters[0] == "a" { vec![] } else { vec!["2"] };
        assert_eq!(short(&house.read(filters, ReadFrom::Earliest)), [b, vec!["3", "4"]].concat(), "{filters:?}");
        assert!(house.engine.keeps(&topic("a"), Seq(3)) && house.engine.keeps(&topic("b"), Seq(2)));
        assert_eq!(house.state("a").expect("known").events, 2);
        drop(go_on);
    }
    let (house, go_on) = reopened_over(Rules { default, ..Rules::default() });
    assert_eq!(house.state("a").expect("known").events, 2, "nor by who asks for the topic");
    drop(go_on);
}

#[test]
fn a_reader_waits_for_the_first_round_when_the_store_is_over_its_cap() {
    let (house, go_on) = reopened_over(Rules { max_store_bytes: Some(20), ..Rules::default() });
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            drop(go_on);
        });
        assert_eq!(short(&house.read(&["**"], ReadFrom::Earliest)), ["3", "4"]);
    });
}

#[test]
fn a_removal_whose_notice_was_refused_is_finished_by_the_same_again_or_after_a_restart() {
    for restart in [false, true] {
        let mut house = Memory::new();
        house.publish("a");
        house.publish("a");
        faults(&house).fill_after(1);
        let remove = |house: &Memory| wait(house.engine.remove(topic("a"), Seq(1)));
        assert_eq!(remove(&house), Err(AppendError::Full), "its notice found no room");
        assert_eq!((house.engine.head(), house.heard.removed.lock().len()), (Seq(2), 1), "nobody reads it any more");
        assert_eq!(remove(&house), Err(AppendError::Full));
        faults(&house).set_full(false);
        if restart {
            house.reopen();
            assert_eq!(house.engine.untold(), [(topic("a"), Seq(1))]);
        }
        for _ in 0..2 {
            assert_eq!((remove(&house), house.engine.head()), (Ok(true), Seq(3)), "one notice");
            assert_eq!(house.engine.untold(), []);
        }
    }
}

#[test]
fn a_notice_that_a_crash_left_unsaid_is_said_once() {
    let mut house = Memory::new();
    house.publish("a");
    assert!(house.remove("a", Seq(1)));
    // As if the crash had come after the notice was durable, and before the store was told so.
    house.engine.close();
    house.bed.0.leave_untold(TopicKey(1), Seq(1));
    house.start();
    assert_eq!(house.engine.untold(), [(topic("a"), Seq(1))]);
    assert!(house.remove("a", Seq(1)));
    assert_eq!((house.engine.head(), house.engine.untold()), (Seq(2), vec![]));
    house.delete("a");
    house.engine.close();
    house.bed.0.leave_untold(TopicKey(1), Seq(1));
    house.start();
    assert_eq!(house.engine.untold(), [], "nobody is to be told of a topic that is gone");
    house.reopen();
    assert_eq!(house.engine.untold(), []);
}

#[test]
fn a_removal_is_told_although_no_more_keys_can_be_remembered() {
    let house = Memory::with(LogConfig { idempotency_keys: 1, ..LogConfig::default() });
    house.append(keyed(1, 1, vec![event("a", "1")])).expect("accepted");
    assert!(matches!(house.append(keyed(2, 1, vec![event("a", "2")])), Err(AppendError::KeysFull { .. })));
    assert!(house.remove("a", Seq(1)));
    assert_eq!((house.engine.head(), house.engine.untold()), (Seq(2), vec![]), "its notice");
}

#[test]
fn a_removal_that_may_be_half_written_poisons() {
    let mut house = Memory::new();
    house.publish("a");
    faults(&house).fail_next();
    assert!(is_unavailable(&wait(house.engine.remove(topic("a"), Seq(1)))));
    assert!(is_unavailable(&house.append(plain(vec![event("b", "3")]))));
    house.reopen();
    assert!(house.remove("a", Seq(1)));
}

#[test]
fn a_publisher_of_large_batches_leaves_room_in_the_queue() {
    let house = Memory::with(LogConfig { queue_bytes: 100_000, ..LogConfig::default() });
    faults(&house).hold();
    let large = || house.engine.append(plain(vec![event("large", "x"); 600]));
    let first = large();
    house.until("the writer waits", |_| faults(&house).writes() == 1);
    assert_eq!(wait(large()), Err(AppendError::Busy), "it is more than all of the queue");
    let small: Vec<_> = (0..90).map(|_| house.engine.append(plain(vec![event("small", "x")]))).collect();
    let beyond: Vec<_> = (0..90).map(|_| house.engine.append(plain(vec![event("small", "x")]))).collect();
    faults(&house).release();
    assert!(wait(first).is_ok());
    assert!(small.into_iter().all(|answer| wait(answer).is_ok()));
    assert!(beyond.into_iter().any(|answer| wait(answer) == Err(AppendError::Busy)), "that room has a bound, too");
    assert!(wait(large()).is_ok(), "and the next one");
    house.until("all is done", |engine| engine.status().queued_bytes == 0);
}
