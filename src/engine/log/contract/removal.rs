//! The log engine over every store: removal of events.

use super::*;
use crate::engine::contract::removal::events;

pub(crate) fn every_read_path_returns_the_tombstone<F: StoreFactory>() {
    for (merge_topics, pick_topics) in [(usize::MAX, usize::MAX), (usize::MAX, 0), (0, 0)] {
        let fixture = LogFixture::<F>::with(LogConfig { merge_topics, pick_topics, ..LogConfig::fixture() });
        fixture.publish_all(&["a", "b", "a", "b", "a"]);
        assert!(fixture.remove("a", Seq(3)));
        assert!(fixture.remove("b", Seq(4)));
        for filters in [&["a", "b"][..], &["**"]] {
            for (max_events, max_bytes) in [(1, 1000), (2, 15), (100, 1000)] {
                let read = events(&fixture.read_in_pages(filters, ReadFrom::Earliest, max_events, max_bytes));
                let removed: Vec<u64> =
                    read.iter().filter(|event| event.is_tombstone()).map(|event| event.seq.0).collect();
                assert_eq!((removed, read.len()), (vec![3, 4], 7), "{filters:?}");
            }
        }
    }
}

pub(crate) fn retention_counts_the_notice_and_its_id_is_the_last<F: StoreFactory>() {
    let fixture = LogFixture::<F>::with_retention(Retention { max_events: Some(3), ..Retention::default() });
    fixture.publish_all(&["a", "a", "a"]);
    assert!(fixture.remove("a", Seq(2)));
    fixture.until("trimmed", |engine| {
        wait(engine.measure(&topic("a"))).expect("readable").is_some_and(|state| state.events == 3)
    });
    assert_eq!(short(&fixture.read(&["a"], ReadFrom::Earliest)), ["2", "3", "4"]);
    let conditional =
        |expect| Append { expect: Some(ExpectedLast::Last(fixture.id(Seq(expect)))), ..plain(vec![event("a", "x")]) };
    assert!(matches!(fixture.append(conditional(3)), Err(AppendError::Precondition { .. })));
    fixture.append(conditional(4)).expect("the notice is the last");
}
