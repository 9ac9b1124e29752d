//! Contract: starts by time and by count.

use super::*;
use crate::engine::LocateBy;

pub(crate) fn locate<F: EngineFactory>(fixture: &Fixture<F>, filters: &[&str], by: LocateBy) -> Seq {
    let id = wait(fixture.engine.locate(selection(filters), by)).expect("readable");
    assert_eq!(id.epoch, fixture.engine.epoch());
    id.seq
}

/// What a read from the located position returns.
pub(crate) fn read_located<F: EngineFactory>(fixture: &Fixture<F>, filters: &[&str], by: LocateBy) -> Vec<String> {
    short(&fixture.read(filters, ReadFrom::After(locate(fixture, filters, by))))
}

pub(crate) fn the_newest_events_are_those_of_a_plain_list<F: EngineFactory>() {
    let mut fixture = Fixture::<F>::new();
    for n in 0..120 {
        fixture.publish_bytes(["a/1", "a/2", "b", "a/1", "other"][n % 5], [3, 60, 9000, 60_000][n % 4]);
    }
    fixture.append(plain((0..700).map(|n| event("a/3", &n.to_string())).collect())).expect("accepted");
    fixture.publish_bytes("b", 100_000);
    for reopened in [false, true] {
        if reopened {
            fixture.reopen();
        }
        for filters in [&["a/1"][..], &["b", "a/2"], &["a/*"], &["a/3"], &["**"], &["b", "a/**"]] {
            let all = short(&fixture.read(filters, ReadFrom::Earliest));
            for count in [1, 2, 3, 16, 17, 48, 49, 600, 699, 701, 1000] {
                let want = &all[all.len().saturating_sub(count)..];
                assert_eq!(
                    read_located(&fixture, filters, LocateBy::Newest(count as u64)),
                    want,
                    "{count} of {filters:?}"
                );
            }
        }
    }
}

pub(crate) fn the_newest_of_nothing_begin_at_the_end<F: EngineFactory>() {
    let fixture = Fixture::<F>::new();
    assert_eq!(locate(&fixture, &["a"], LocateBy::Newest(5)), Seq(0));
    let head = fixture.publish("other");
    for filters in [&["a"][..], &["a", "b"], &["a/**"]] {
        assert_eq!(locate(&fixture, filters, LocateBy::Newest(5)), head, "{filters:?}");
    }
}

pub(crate) fn the_newest_are_among_the_retained_events<F: EngineFactory>() {
    let fixture = Fixture::<F>::new();
    for _ in 0..20 {
        fixture.publish_all(&["a", "b"]);
    }
    fixture.trim("a", 3);
    fixture.delete("b");
    assert_eq!(
        read_located(&fixture, &["a"], LocateBy::Newest(10)),
        ["35", "37", "39"],
        "events trimmed before the position are no gap"
    );
    assert_eq!(read_located(&fixture, &["a"], LocateBy::Newest(2)), ["37", "39"]);
    fixture.publish("b");
    assert_eq!(read_located(&fixture, &["b"], LocateBy::Newest(10)), ["41"]);
}

pub(crate) fn removed_events_are_not_counted_among_the_newest<F: EngineFactory>() {
    let mut fixture = Fixture::<F>::new();
    fixture.publish("b");
    let large = fixture.publish_bytes("b", 100_000).seq;
    fixture.append(plain((0..40).map(|n| event("a", &n.to_string())).collect())).expect("accepted");
    assert_eq!(fixture.publish("c"), Seq(43));
    for seq in [37, 39, 41, 42] {
        assert!(fixture.remove("a", Seq(seq)));
    }
    assert!(fixture.remove("b", large));
    for reopened in [false, true] {
        if reopened {
            fixture.reopen();
        }
        // Of a, 40, 38, 36 and earlier ones are left; of b, the first. The newest positions of both are notices.
        for (filters, count, want) in [
            (&["a"][..], 1, 40),
            (&["a"], 2, 38),
            (&["a"], 3, 36),
            (&["b"], 1, 1),
            (&["a", "c"], 1, 43),
            (&["*"], 1, 43),
            (&["*"], 2, 40),
            (&["*"], 37, 3),
            (&["*"], 38, 1),
            (&["*"], 39, 1),
        ] {
            let from = locate(&fixture, filters, LocateBy::Newest(count));
            assert_eq!(from, Seq(want - 1), "{count} of {filters:?}");
        }
    }
}
