//! Contract: gaps.

use super::*;

pub(crate) fn a_cursor_before_trimmed_events_gets_a_gap<F: EngineFactory>() {
    let fixture = Fixture::<F>::new();
    fixture.publish_all(&["a"; 5]);
    fixture.trim("a", 2);
    for filters in [&["a"][..], &["a", "b"], &["**"]] {
        assert_eq!(short(&fixture.read(filters, ReadFrom::After(Seq(2)))), ["a!4", "4", "5"], "{filters:?}");
        assert_eq!(short(&fixture.read(filters, ReadFrom::After(Seq(3)))), ["4", "5"], "the last trimmed id is no gap");
    }
}

pub(crate) fn earliest_reports_no_gap<F: EngineFactory>() {
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

pub(crate) fn a_gap_is_reported_although_other_topics_advanced_the_cursor<F: EngineFactory>() {
    let fixture = Fixture::<F>::new();
    fixture.publish_all(&["b", "a", "b", "a", "b", "a"]);
    // The reader has received 1 and 2 through both topics; then 3 of b is trimmed.
    fixture.trim("b", 1);
    for filters in [&["a", "b"][..], &["**"]] {
        assert_eq!(short(&fixture.read(filters, ReadFrom::After(Seq(2)))), ["b!5", "4", "5", "6"], "{filters:?}");
        assert_eq!(short(&fixture.read(filters, ReadFrom::After(Seq(4)))), ["5", "6"], "{filters:?}");
    }
}

pub(crate) fn a_gap_is_reported_by_one_page_only<F: EngineFactory>() {
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

pub(crate) fn an_emptied_topic_reports_that_nothing_is_retained<F: EngineFactory>() {
    let fixture = Fixture::<F>::new();
    fixture.publish_all(&["a"; 3]);
    fixture.trim("a", 0);
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::After(Seq(2)))), ["a!-"]);
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::After(Seq(3)))), [""; 0]);
    let state = fixture.state("a").expect("it still exists");
    assert_eq!((state.first, state.last, state.events, state.bytes), (None, Some(Seq(3)), 0, 0));
}

pub(crate) fn a_deleted_topic_is_reported_by_name_and_by_pattern<F: EngineFactory>() {
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
