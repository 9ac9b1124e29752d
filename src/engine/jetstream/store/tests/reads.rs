//! Every read by direct gets returns what the store in memory returns for the same events.

use super::*;

const NAMES: [&str; 4] = ["a", "b/c", "größe/ü", "rare"];

/// Compares reads of the whole log in every way with those of the list.
fn compare(bench: &StreamBench, store: &JetStreamStore, head: Seq) {
    let limit = |events, bytes| ReadLimit { events, bytes };
    for name in NAMES {
        let Some(&(key, tail, _)) = bench.topics.get(name) else { continue };
        let (name, of) = (topic(name), (key, topic(name)));
        for (after, events, bytes) in
            [(0, 1000, usize::MAX), (0, 3, usize::MAX), (7, 1000, 50), (tail.0 / 2, 7, usize::MAX), (tail.0, 9, 9)]
        {
            let after = Seq(after);
            let ours = store.topic_events((of.0, &name), after, tail, limit(events, bytes)).expect("read");
            let list = bench.list.topic_events((of.0, &name), after, tail, limit(events, bytes)).expect("read");
            assert_eq!(ours, list, "{name} after {after}: {events} events");
            let ours = store.topic_headers((of.0, &name), after, tail, events).expect("read");
            assert_eq!(ours, bench.list.topic_headers((of.0, &name), after, tail, events).expect("read"));
        }
        for (after, through, max) in [(0, tail.0, 3), (0, tail.0 - 1, 5), (0, tail.0, 10_000), (tail.0 / 2, tail.0, 50)]
        {
            let ours = store.topic_newest((of.0, &name), Seq(after), Seq(through), max).expect("read");
            let list = bench.list.topic_newest((of.0, &name), Seq(after), Seq(through), max).expect("read");
            assert_eq!(ours, list, "{name}: {max} newest of {after} to {through}");
        }
    }
    for (after, events, but) in
        [(0, 100_000, ""), (0, 100_000, "a"), (0, 5, "a"), (head.0 / 2, 100_000, ""), (head.0, 5, "")]
    {
        let wanted = |key: TopicKey| (bench.topics.get(but).is_none_or(|of| of.0 != key)).then(|| topic("any"));
        let limit = limit(events, usize::MAX);
        let ours = store.scan(Seq(after), head, limit, &mut { wanted }).expect("read");
        let list = bench.list.scan(Seq(after), head, limit, &mut { wanted }).expect("read");
        assert_eq!((ours.events, ours.through), (list.events, list.through), "{events} after {after} but {but}");
    }
    for time in (0..head.0 + 5).step_by(37).chain([head.0]).map(|seq| Millis(1_000 + seq * 10)) {
        let (ours, list) =
            (store.position_before(time).expect("read"), bench.list.position_before(time).expect("read"));
        assert_eq!(ours.min(head), list, "before {time:?}");
    }
}

#[test]
fn reads_return_what_a_list_holds() {
    let mut bench = StreamBench::new("reads");
    for round in 0..60usize {
        let names = (0..=round % 9).map(|at| NAMES[(round * 7 + at * 5) % if round == 3 { 4 } else { 3 }]);
        let events: Vec<_> = names.map(|name| (name, "some data")).collect();
        bench.commit(&events);
    }
    let last = bench.commit(&[("b/c", "the last")])[0];
    compare(&bench, &bench.store, last);
    let follower = bench.follower();
    assert!(follower.core.ring.lock().oldest().is_none(), "it reads from the stream");
    compare(&bench, &follower, last);
}

#[test]
fn a_removed_event_is_read_as_a_tombstone_also_when_its_message_is_deleted() {
    let mut bench = StreamBench::new("removed");
    let seqs = bench.commit(&[("a", "one"), ("b/c", "two"), ("a", "three"), ("a", "four")]);
    let last = bench.commit(&[("b/c", "five")])[0];
    let of = (bench.key("a"), topic("a"));
    let early = bench.follower();
    for seq in [seqs[2], seqs[0], seqs[3]] {
        assert_eq!(
            bench.store.remove((of.0, &of.1), seq).expect("stored"),
            bench.list.remove((of.0, &of.1), seq).expect("x")
        );
        let again = bench.store.remove((of.0, &of.1), seq).expect("stored");
        assert_eq!(again, RemoveOutcome::AlreadyRemoved);
    }
    assert_eq!(bench.store.remove((of.0, &of.1), seqs[1]).expect("asked"), RemoveOutcome::NotFound, "another topic's");
    compare(&bench, &bench.store, last);
    compare(&bench, &bench.follower(), last);
    for seq in [seqs[2], seqs[0], seqs[3]] {
        assert!(bench.run(bench.nats.delete(seq.0)).expect("deleted"));
    }
    compare(&bench, &bench.follower(), last);
    // A hub that has not heard of the tombstones returns no page that lacks the events.
    let read = early.topic_events((of.0, &of.1), Seq(0), seqs[3], ReadLimit { events: 9, bytes: 999 });
    assert!(matches!(read, Err(StoreError::NotNow(_))), "{read:?}");
    let scan = early.scan(Seq(0), last, ReadLimit { events: 9, bytes: 999 }, &mut |_| Some(topic("any")));
    assert!(matches!(scan, Err(StoreError::NotNow(_))), "{scan:?}");
}

#[test]
fn purged_events_are_missing_only_below_the_mark() {
    let mut bench = StreamBench::new("purged");
    let events: Vec<_> = (0..40).map(|at| (NAMES[at % 2], "data")).collect();
    let seqs = bench.commit(&events);
    let early = bench.follower();
    bench.trim("a", seqs[20], 9);
    bench.store.reclaim(&NoneLive).expect("purged");
    let info = bench.run(bench.nats.stream()).expect("a stream");
    assert_eq!(info.messages, 2 + 1 + 40 - 11, "the epoch, the leader, the settings, and what is left");
    let (key, tail, _) = bench.topics["a"];
    let limit = ReadLimit { events: 99, bytes: 9999 };
    // A hub that has not heard of the purge cannot tell the gap yet.
    let read = || early.topic_events((key, &topic("a")), seqs[4], tail, limit);
    assert!(matches!(read(), Err(StoreError::NotNow(_))), "{:?}", read());
    early.applied(Seq(bench.store.last()));
    assert_eq!(read().expect("read").len(), 9);
    // The mark that a page has begun with may be older than the purge.
    for store in [&bench.follower(), &bench.store] {
        for after in [seqs[4], seqs[20]] {
            let read = store.topic_events((key, &topic("a")), after, tail, limit).expect("read");
            let kept = read.iter().map(|stored| stored.event.seq).filter(|seq| *seq > seqs[20]).collect::<Vec<_>>();
            assert_eq!(kept, seqs.iter().copied().skip(22).step_by(2).collect::<Vec<_>>());
        }
    }
    // Without a mark, a hole is no answer.
    bench.run(bench.nats.delete(seqs[30].0)).expect("deleted");
    let read = bench.follower().topic_events((key, &topic("a")), seqs[20], tail, limit);
    assert!(matches!(read, Err(StoreError::NotNow(_))), "{read:?}");
}

/// What this hub knows of is in none of them.
#[test]
fn replicas_that_are_behind_do_not_tell_that_nothing_is_newer_than_a_time() {
    let mut bench = StreamBench::new("behind");
    bench.commit(&[("a", "one"), ("a", "two")]);
    let follower = bench.follower();
    let newest = follower.position_before(Millis(u64::MAX));
    assert_eq!(newest.ok(), Some(Seq(follower.last())), "nothing is newer");
    let ahead = follower.last() + 100;
    follower.core.reach(ahead, ahead);
    let refused = follower.position_before(Millis(u64::MAX));
    assert!(matches!(refused, Err(StoreError::NotNow(_))), "{refused:?}");
}
