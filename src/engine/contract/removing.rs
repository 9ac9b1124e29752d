//! Promises about taking one event back.

use super::*;

/// The events of a page, which tells no gap.
fn events(page: &LogPage) -> Vec<Arc<Event>> {
    let event = |item: &PageItem| match item {
        PageItem::Event(event) => Arc::clone(event),
        PageItem::Gap(gap) => panic!("{gap:?}"),
    };
    page.items.iter().map(event).collect()
}

fn notice<B: StoreFactory>(house: &Fixture<B>, name: &str, seq: Seq) -> NewEvent {
    NewEvent::notice(topic(name), house.id(seq))
}

pub(crate) fn an_event_that_is_taken_back_leaves_a_tombstone_in_its_place<B: StoreFactory>() {
    let mut house = Fixture::<B>::new();
    let new = NewEvent { retry: Some(5), ..event("a", "secret") };
    house.append(plain(vec![event("a", "first"), new, event("a", "third"), event("b", "other")])).expect("accepted");
    let before = events(&house.read(&["**"], ReadFrom::Earliest));
    assert!(house.remove("a", Seq(2)));
    let mut want: Vec<Event> = before.iter().map(|event| (**event).clone()).collect();
    want[1] = want[1].tombstone();
    for _ in 0..2 {
        let after = events(&house.read(&["**"], ReadFrom::Earliest));
        assert!(after[..4].iter().map(|event| &**event).eq(&want), "{after:?}");
        assert_eq!((after.len(), after[4].prev), (5, Seq(3)));
        assert_eq!(after[4].new, notice(&house, "a", Seq(2)));
        house.reopen();
    }
}

pub(crate) fn every_way_of_reading_gives_the_tombstone<B: StoreFactory>() {
    for (merge_topics, pick_topics) in [(usize::MAX, usize::MAX), (usize::MAX, 0), (0, 0)] {
        let house = Fixture::<B>::with(LogConfig { merge_topics, pick_topics, ..LogConfig::default() });
        house.publish_all(&["a", "b", "a", "b", "a"]);
        assert!(house.remove("a", Seq(3)));
        assert!(house.remove("b", Seq(4)));
        for wish in [&["a", "b"][..], &["**"]] {
            for (max_events, max_bytes) in [(1, 1000), (2, 15), (100, 1000)] {
                let read = events(&house.read_in_pages(wish, ReadFrom::Earliest, max_events, max_bytes));
                let removed: Vec<u64> =
                    read.iter().filter(|event| event.is_tombstone()).map(|event| event.seq.0).collect();
                assert_eq!((removed, read.len()), (vec![3, 4], 7), "{wish:?}");
            }
        }
    }
}

pub(crate) fn readers_are_told_by_a_notice_before_it_is_acknowledged<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    house.publish_all(&["a", "a", "b"]);
    assert!(house.remove("a", Seq(1)));
    assert_eq!(*house.heard.removed.lock(), [(topic("a"), Seq(1), Seq(3))], "said once, and before its notice");
    let heard = house.heard.events.lock();
    assert_eq!((heard.len(), heard[3].seq), (4, Seq(4)));
    assert_eq!(heard[3].new, notice(&house, "a", Seq(1)));
}

pub(crate) fn what_was_taken_back_is_taken_back_once<B: StoreFactory>() {
    let mut house = Fixture::<B>::new();
    house.publish_all(&["a", "a"]);
    for _ in 0..2 {
        for _ in 0..2 {
            assert!(house.remove("a", Seq(1)), "again, and nothing changes");
            assert_eq!(house.engine.head(), Seq(3), "one notice");
        }
        assert!(house.remove("a", Seq(3)), "a notice holds nothing to take back");
        assert_eq!(house.read(&["a"], ReadFrom::Earliest).items.len(), 3);
        assert!(house.engine.untold().is_empty());
        house.reopen();
        assert_eq!(house.engine.head(), Seq(3));
    }
    assert!(house.remove("a", Seq(2)));
    assert_eq!(house.state("a").expect("in use").events, 4);
}

pub(crate) fn what_is_not_kept_cannot_be_taken_back<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    house.publish_all(&["a", "b", "a", "a", "gone"]);
    house.trim("a", 1);
    house.delete("gone");
    let head = house.engine.head();
    for (name, seq) in [("a", 1), ("a", 3), ("a", 2), ("a", 0), ("a", 99), ("b", 1), ("gone", 5), ("never", 1)] {
        assert!(!house.remove(name, Seq(seq)), "{name} {seq}");
    }
    assert_eq!(house.engine.head(), head, "nobody is told of nothing");
    assert!(house.heard.removed.lock().is_empty());
    house.publish("gone");
    assert!(!house.remove("gone", Seq(5)), "an event of the name's former life");
}

pub(crate) fn a_closed_topic_stays_closed_and_gets_no_notice<B: StoreFactory>() {
    let mut house = Fixture::<B>::new();
    house.publish("a");
    let last = house.close_topic("a");
    assert!(house.remove("a", last));
    for _ in 0..2 {
        let state = house.state("a").expect("in use");
        assert!(state.closed, "its closing event still closes it");
        assert_eq!((state.last, state.events, state.bytes), (Some(last), 2, 10));
        assert!(events(&house.read(&["a"], ReadFrom::Earliest))[1].is_tombstone());
        assert!(house.engine.untold().is_empty());
        house.reopen();
    }
}

pub(crate) fn what_is_counted_is_what_is_left<B: StoreFactory>() {
    let mut house = Fixture::<B>::new();
    let large = house.publish_bytes("a", 100_000).seq;
    let small = house.publish_bytes("a", 1).seq;
    house.publish_bytes("b", 5);
    assert!(house.remove("a", large) && house.remove("a", small));
    let notices: usize = [large, small].map(|seq| notice(&house, "a", seq).data.len()).iter().sum();
    for _ in 0..2 {
        let state = house.state("a").expect("in use");
        assert_eq!((state.events, state.bytes), (4, notices as u64));
        assert_eq!(house.engine.status().bytes, 5 + notices as u64);
        house.reopen();
    }
    house.trim("a", 1);
    let last = notice(&house, "a", small).data.len() as u64;
    assert_eq!(house.state("a").expect("in use").bytes, last, "trimmed by what they count");
}

pub(crate) fn retention_counts_the_notice_and_the_last_id_is_its<B: StoreFactory>() {
    let house = Fixture::<B>::keeping(Retention { max_events: Some(3), ..Retention::default() });
    house.publish_all(&["a", "a", "a"]);
    assert!(house.remove("a", Seq(2)));
    house.until("trimmed", |engine| engine.topic(&topic("a")).is_some_and(|state| state.events == 3));
    assert_eq!(short(&house.read(&["a"], ReadFrom::Earliest)), ["2", "3", "4"]);
    let conditional =
        |expect| Append { expect: Some(ExpectedLast::Last(house.id(Seq(expect)))), ..plain(vec![event("a", "x")]) };
    assert!(matches!(house.append(conditional(3)), Err(AppendError::Precondition { .. })));
    house.append(conditional(4)).expect("the notice is the last");
}

pub(crate) fn a_deleted_topic_is_used_again_after_one_of_its_events_was_taken_back<B: StoreFactory>() {
    let mut house = Fixture::<B>::new();
    house.publish_all(&["a", "a"]);
    assert!(house.remove("a", Seq(1)));
    assert!(house.delete("a"));
    let anew = house.publish("a");
    for _ in 0..2 {
        assert_eq!(short(&house.read(&["a"], ReadFrom::After(Seq(1)))), [format!("a!{anew}"), anew.to_string()]);
        assert_eq!(house.state("a").expect("in use").bytes, 10);
        house.reopen();
    }
}
