//! Promises about where readers begin that ask by time or by number.

use super::*;
use crate::engine::LocateBy;

fn located<B: StoreFactory>(house: &Fixture<B>, filters: &[&str], by: LocateBy) -> Seq {
    house.engine.locate(&selection(filters), by, &|| true).expect("readable")
}

/// What a reader gets who begins there.
fn given<B: StoreFactory>(house: &Fixture<B>, filters: &[&str], by: LocateBy) -> Vec<String> {
    short(&house.read(filters, ReadFrom::After(located(house, filters, by))))
}

pub(crate) fn the_newest_events_are_those_of_a_plain_list<B: StoreFactory>() {
    let mut house = Fixture::<B>::new();
    for n in 0..120 {
        house.publish_bytes(["a/1", "a/2", "b", "a/1", "other"][n % 5], [3, 60, 9000, 60_000][n % 4]);
    }
    house.append(plain((0..700).map(|n| event("a/3", &n.to_string())).collect())).expect("accepted");
    house.publish_bytes("b", 100_000);
    for reopened in [false, true] {
        if reopened {
            house.reopen();
        }
        for filters in [&["a/1"][..], &["b", "a/2"], &["a/*"], &["a/3"], &["**"], &["b", "a/**"]] {
            let all = short(&house.read(filters, ReadFrom::Earliest));
            for count in [1, 2, 3, 16, 17, 48, 49, 600, 699, 701, 1000] {
                let want = &all[all.len().saturating_sub(count)..];
                assert_eq!(given(&house, filters, LocateBy::Newest(count as u64)), want, "{count} of {filters:?}");
            }
        }
    }
}

pub(crate) fn the_newest_of_nothing_begin_at_the_end<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    assert_eq!(located(&house, &["a"], LocateBy::Newest(5)), Seq(0));
    let head = house.publish("other");
    for filters in [&["a"][..], &["a", "b"], &["a/**"]] {
        assert_eq!(located(&house, filters, LocateBy::Newest(5)), head, "{filters:?}");
    }
}

pub(crate) fn the_newest_are_among_what_is_kept<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    for _ in 0..20 {
        house.publish_all(&["a", "b"]);
    }
    house.trim("a", 3);
    house.delete("b");
    assert_eq!(given(&house, &["a"], LocateBy::Newest(10)), ["35", "37", "39"], "what was trimmed before is no gap");
    assert_eq!(given(&house, &["a"], LocateBy::Newest(2)), ["37", "39"]);
    house.publish("b");
    assert_eq!(given(&house, &["b"], LocateBy::Newest(10)), ["41"]);
}

pub(crate) fn what_was_taken_back_is_not_counted_among_the_newest<B: StoreFactory>() {
    let mut house = Fixture::<B>::new();
    house.publish("b");
    let large = house.publish_bytes("b", 100_000).seq;
    house.append(plain((0..40).map(|n| event("a", &n.to_string())).collect())).expect("accepted");
    assert_eq!(house.publish("c"), Seq(43));
    for seq in [37, 39, 41, 42] {
        assert!(house.remove("a", Seq(seq)));
    }
    assert!(house.remove("b", large));
    for reopened in [false, true] {
        if reopened {
            house.reopen();
        }
        // Of a 40, 38, 36 and those before are left, of b the first; the newest positions of both are notices.
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
            let from = located(&house, filters, LocateBy::Newest(count));
            assert_eq!(from, Seq(want - 1), "{count} of {filters:?}");
        }
    }
}

pub(crate) fn looking_for_the_newest_reads_no_more_than_is_asked_for<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    for n in 0..40 {
        house.append(plain((0..50).map(|_| event(&format!("a/{}", n % 4), "x")).collect())).expect("accepted");
    }
    // Asked once for each step of a topic.
    let steps = AtomicU64::new(0);
    let keep_going = || steps.fetch_add(1, Ordering::SeqCst) < 8;
    house
        .engine
        .locate(&selection(&["a/*"]), LocateBy::Newest(10), &keep_going)
        .expect("a step of each topic is enough");
    house.engine.locate(&selection(&["a/0"]), LocateBy::Newest(40), &keep_going).expect("steps grow");
    house.engine.locate(&selection(&["a/*"]), LocateBy::Newest(1900), &|| false).expect_err("it is given up");
}

pub(crate) fn a_moment_is_a_position_that_tells_what_was_lost_since<B: StoreFactory>() {
    let house = Fixture::<B>::new();
    let mut times = Vec::new();
    for _ in 0..6 {
        house.pass(Duration::from_secs(1));
        times.push(house.publish_bytes("a", 1).time);
        house.publish("b");
    }
    let by = LocateBy::Since(times[3]);
    assert_eq!(given(&house, &["a", "b"], by), short(&house.read(&["a", "b"], ReadFrom::Since(times[3]))));
    assert_eq!(located(&house, &["a"], LocateBy::Since(Millis(times[5].0 + 1))), house.engine.head());
    house.trim("a", 1);
    for filters in [&["a"][..], &["a", "b"], &["*"]] {
        let first = short(&house.read(filters, ReadFrom::Since(times[3])));
        assert!(first.contains(&"a!11".to_owned()), "{first:?}");
        assert!(given(&house, filters, by).contains(&"a!11".to_owned()), "and again: {filters:?}");
    }
}
