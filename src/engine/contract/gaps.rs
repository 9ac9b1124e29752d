//! Promises about telling what is gone.

use super::*;

pub(crate) fn a_cursor_before_trimmed_events_is_told<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    house.publish_all(&["a"; 5]);
    house.trim("a", 2);
    for filters in [&["a"][..], &["a", "b"], &["**"]] {
        assert_eq!(short(&house.read(filters, ReadFrom::After(Seq(2)))), ["a!4", "4", "5"], "{filters:?}");
        assert_eq!(short(&house.read(filters, ReadFrom::After(Seq(3)))), ["4", "5"], "the last trimmed id is no gap");
    }
}

pub(crate) fn earliest_tells_no_gap<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    house.publish_all(&["a"; 5]);
    house.publish("gone");
    house.publish("empty");
    house.trim("a", 2);
    house.trim("empty", 0);
    house.delete("gone");
    for filters in [&["a"][..], &["a", "gone", "empty"], &["**"]] {
        assert_eq!(short(&house.read(filters, ReadFrom::Earliest)), ["4", "5"], "{filters:?}");
    }
}

pub(crate) fn a_gap_is_told_although_other_topics_moved_the_cursor_on<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    house.publish_all(&["b", "a", "b", "a", "b", "a"]);
    // The reader has seen 1 and 2, by way of both topics; then b loses 3.
    house.trim("b", 1);
    for filters in [&["a", "b"][..], &["**"]] {
        assert_eq!(short(&house.read(filters, ReadFrom::After(Seq(2)))), ["b!5", "4", "5", "6"], "{filters:?}");
        assert_eq!(short(&house.read(filters, ReadFrom::After(Seq(4)))), ["5", "6"], "{filters:?}");
    }
}

pub(crate) fn a_gap_is_told_by_one_page_only<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    house.publish_all(&["a", "a", "b", "b", "a", "b", "c"]);
    house.trim("b", 1);
    house.delete("c");
    let told = ["1", "2", "b!6", "5", "6", "c!-"];
    for filters in [&["a", "b", "c"][..], &["**"]] {
        assert_eq!(short(&house.read_in_pages(filters, ReadFrom::After(Seq(0)), 1, 1000)), told, "{filters:?}");
        assert_eq!(short(&house.read(filters, ReadFrom::After(Seq(0)))), told, "{filters:?}");
    }
}

pub(crate) fn an_emptied_topic_tells_that_nothing_is_kept<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    house.publish_all(&["a"; 3]);
    house.trim("a", 0);
    assert_eq!(short(&house.read(&["a"], ReadFrom::After(Seq(2)))), ["a!-"]);
    assert_eq!(short(&house.read(&["a"], ReadFrom::After(Seq(3)))), [""; 0]);
    let state = house.state("a").expect("it still exists");
    assert_eq!((state.first, state.last, state.events, state.bytes), (None, Some(Seq(3)), 0, 0));
}

pub(crate) fn an_emptied_topic_is_remembered_after_a_restart<B: StoreFactory>() {
    let age = Retention { max_age: Some(Duration::from_secs(10)), ..Retention::default() };
    let mut house = Fixture::<B>::keeping(age);
    house.publish("open");
    let last = house.close_topic("closed");
    house.pass(Duration::from_secs(11));
    for _ in 0..3 {
        house.until("swept", |engine| engine.status().events == 0);
        std::thread::sleep(Duration::from_millis(20)); // some rounds of taking back space
        for filters in [&["closed", "open"][..], &["**"]] {
            let told = house.read(filters, ReadFrom::After(Seq(0)));
            assert_eq!(short(&told), ["open!-", "closed!-"], "{filters:?}");
        }
        let state = house.state("closed").expect("it still exists");
        assert_eq!((state.last, state.closed), (Some(last), true));
        house.reopen();
    }
    house.publish("open");
    assert_eq!(house.heard.events.lock()[0].prev, Seq(1));
}

pub(crate) fn a_deleted_topic_is_told_by_name_and_by_pattern<B: StoreFactory>() {
    let mut house = Fixture::<B>::new();
    let last = house.publish("jobs/1");
    house.publish("jobs/2");
    house.delete("jobs/1");
    for _ in 0..2 {
        assert_eq!(short(&house.read(&["jobs/1"], ReadFrom::After(Seq(0)))), ["jobs/1!-"]);
        for filters in [&["jobs/*"][..], &["jobs/1", "jobs/*"], &["jobs/1", "jobs/2"]] {
            assert_eq!(short(&house.read(filters, ReadFrom::After(Seq(0)))), ["jobs/1!-", "2"], "{filters:?}");
            assert_eq!(short(&house.read(filters, ReadFrom::After(last))), ["2"], "{filters:?}");
        }
        assert_eq!(short(&house.read(&["other/*"], ReadFrom::After(Seq(0)))), [""; 0]);
        house.reopen();
    }
}

pub(crate) fn since_tells_a_gap_only_for_events_after_that_moment<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    let times: Vec<Millis> = (0..4)
        .map(|_| {
            house.pass(Duration::from_secs(1));
            house.publish_bytes("a", 1).time
        })
        .collect();
    house.trim("a", 1);
    for filters in [&["a"][..], &["a", "b"], &["**"]] {
        assert_eq!(short(&house.read(filters, ReadFrom::Since(times[2]))), ["a!4", "4"], "{filters:?}");
        assert_eq!(short(&house.read(filters, ReadFrom::Since(Millis(times[2].0 + 1)))), ["4"], "{filters:?}");
    }
}
