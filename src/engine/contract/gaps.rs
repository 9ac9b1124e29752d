//! Contract: gaps.

use super::*;

pub(crate) fn a_cursor_before_trimmed_events_gets_a_gap<F: StoreFactory>() {
    let fixture = Fixture::<F>::new();
    fixture.publish_all(&["a"; 5]);
    fixture.trim("a", 2);
    for filters in [&["a"][..], &["a", "b"], &["**"]] {
        assert_eq!(short(&fixture.read(filters, ReadFrom::After(Seq(2)))), ["a!4", "4", "5"], "{filters:?}");
        assert_eq!(short(&fixture.read(filters, ReadFrom::After(Seq(3)))), ["4", "5"], "the last trimmed id is no gap");
    }
}

pub(crate) fn earliest_reports_no_gap<F: StoreFactory>() {
    let fixture = Fixture::<F>::new();
    fixture.publish_all(&["a"; 5]);
    fixture.publish("gone");
    fixture.publish("empty");
    fixture.trim("a", 2);
    fixture.trim("empty", 0);
    fixture.delete("gone");
    for filters in [&["a"][..], &["a", "gone", "empty"], &["**"]] {
        assert_eq!(short(&fixture.read(filters, ReadFrom::Earliest)), ["4", "5"], "{filters:?}");
    }
}

pub(crate) fn a_gap_is_reported_although_other_topics_advanced_the_cursor<F: StoreFactory>() {
    let fixture = Fixture::<F>::new();
    fixture.publish_all(&["b", "a", "b", "a", "b", "a"]);
    // The reader has received 1 and 2 through both topics; then 3 of b is trimmed.
    fixture.trim("b", 1);
    for filters in [&["a", "b"][..], &["**"]] {
        assert_eq!(short(&fixture.read(filters, ReadFrom::After(Seq(2)))), ["b!5", "4", "5", "6"], "{filters:?}");
        assert_eq!(short(&fixture.read(filters, ReadFrom::After(Seq(4)))), ["5", "6"], "{filters:?}");
    }
}

pub(crate) fn a_gap_is_reported_by_one_page_only<F: StoreFactory>() {
    let fixture = Fixture::<F>::new();
    fixture.publish_all(&["a", "a", "b", "b", "a", "b", "c"]);
    fixture.trim("b", 1);
    fixture.delete("c");
    let expected = ["1", "2", "b!6", "5", "6", "c!-"];
    for filters in [&["a", "b", "c"][..], &["**"]] {
        assert_eq!(short(&fixture.read_in_pages(filters, ReadFrom::After(Seq(0)), 1, 1000)), expected, "{filters:?}");
        assert_eq!(short(&fixture.read(filters, ReadFrom::After(Seq(0)))), expected, "{filters:?}");
    }
}

pub(crate) fn an_emptied_topic_reports_that_nothing_is_retained<F: StoreFactory>() {
    let fixture = Fixture::<F>::new();
    fixture.publish_all(&["a"; 3]);
    fixture.trim("a", 0);
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::After(Seq(2)))), ["a!-"]);
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::After(Seq(3)))), [""; 0]);
    let state = fixture.state("a").expect("it still exists");
    assert_eq!((state.first, state.last, state.events, state.bytes), (None, Some(Seq(3)), 0, 0));
}

pub(crate) fn an_emptied_topic_is_remembered_after_a_restart<F: StoreFactory>() {
    let age = Retention { max_age: Some(Duration::from_secs(10)), ..Retention::default() };
    let mut fixture = Fixture::<F>::with_retention(age);
    fixture.publish("open");
    let last = fixture.close_topic("closed");
    fixture.advance(Duration::from_secs(11));
    for _ in 0..3 {
        fixture.until("swept", |engine| status(engine).events == 0);
        std::thread::sleep(Duration::from_millis(20)); // some reclamation rounds
        for filters in [&["closed", "open"][..], &["**"]] {
            let page = fixture.read(filters, ReadFrom::After(Seq(0)));
            assert_eq!(short(&page), ["open!-", "closed!-"], "{filters:?}");
        }
        let state = fixture.state("closed").expect("it still exists");
        assert_eq!((state.last, state.closed), (Some(last), true));
        fixture.reopen();
    }
    fixture.publish("open");
    assert_eq!(fixture.observer.events.lock()[0].prev, Seq(1));
}

pub(crate) fn a_deleted_topic_is_reported_by_name_and_by_pattern<F: StoreFactory>() {
    let mut fixture = Fixture::<F>::new();
    let last = fixture.publish("jobs/1");
    fixture.publish("jobs/2");
    fixture.delete("jobs/1");
    for _ in 0..2 {
        assert_eq!(short(&fixture.read(&["jobs/1"], ReadFrom::After(Seq(0)))), ["jobs/1!-"]);
        for filters in [&["jobs/*"][..], &["jobs/1", "jobs/*"], &["jobs/1", "jobs/2"]] {
            assert_eq!(short(&fixture.read(filters, ReadFrom::After(Seq(0)))), ["jobs/1!-", "2"], "{filters:?}");
            assert_eq!(short(&fixture.read(filters, ReadFrom::After(last))), ["2"], "{filters:?}");
        }
        assert_eq!(short(&fixture.read(&["other/*"], ReadFrom::After(Seq(0)))), [""; 0]);
        fixture.reopen();
    }
}

pub(crate) fn since_reports_a_gap_only_for_events_after_that_time<F: StoreFactory>() {
    let fixture = Fixture::<F>::new();
    let times: Vec<Millis> = (0..4)
        .map(|_| {
            fixture.advance(Duration::from_secs(1));
            fixture.publish_bytes("a", 1).time
        })
        .collect();
    fixture.trim("a", 1);
    for filters in [&["a"][..], &["a", "b"], &["**"]] {
        assert_eq!(short(&fixture.read(filters, ReadFrom::Since(times[2]))), ["a!4", "4"], "{filters:?}");
        assert_eq!(short(&fixture.read(filters, ReadFrom::Since(Millis(times[2].0 + 1)))), ["4"], "{filters:?}");
    }
}
