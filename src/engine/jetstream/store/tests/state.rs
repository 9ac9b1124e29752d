//! What is recovered is what was written.

use super::{
    super::{super::wire::encode_keys, stored_keys},
    *,
};

#[test]
fn the_newest_record_of_a_topic_tells_its_state() {
    let mut bench = StreamBench::new("state");
    let seqs = bench.commit(&[("a", "one"), ("b", "two"), ("a", "three"), ("c", "four"), ("d", "five"), ("d", "six")]);
    bench.trim("a", seqs[0], 1);
    bench.trim("c", seqs[3], 0);
    bench.delete("b");
    let (d, tail) = (bench.key("d"), seqs[5]);
    assert_eq!(bench.store.remove((d, &topic("d")), tail).expect("stored"), RemoveOutcome::Removed(3));
    bench.run(bench.nats.delete(tail.0)).expect("deleted");
    let follower = bench.follower();
    let (topics, rest) = recovered(&follower);
    let summary = |name: &str, key, first: Seq, first_prev: Seq, last, events, bytes| TopicSummary {
        key,
        name: topic(name),
        first,
        first_prev,
        first_time: Millis(1_000 + seqs[0].0 * 10),
        last,
        last_closes: false,
        events,
        bytes,
    };
    // The state that `trim` has saved keeps the bytes, and the first position after the mark.
    let a = summary("a", bench.key("a"), seqs[0].next(), seqs[0], seqs[2], 1, 8);
    assert_eq!(topics, [a, summary("d", d, seqs[4], Seq(0), seqs[5], 2, 4)]);
    assert_eq!(rest.pending_removals, [(d, tail)]);
    assert_eq!((rest.newest_mark, rest.head), (seqs[1], seqs[5]));
    let names: Vec<_> = rest.settings.iter().map(|(name, own)| (name.as_str(), own.emptied_through)).collect();
    assert_eq!(names, [("c", Some(seqs[3]))]);
    assert_eq!((follower.mark(&topic("b")), follower.mark(&topic("a"))), (Some(seqs[1]), None));
    assert_eq!(follower.marks("", seqs[1]), []);
    bench.store.clear_pending_removal(d, tail);
    assert_eq!(recovered(&bench.follower()).1.pending_removals, []);
}

#[test]
fn a_topic_of_which_the_newest_state_was_not_read_is_not_left_out() {
    let mut bench = StreamBench::new("part");
    let seqs = bench.commit(&[("a", "one"), ("a", "two"), ("b", "three")]);
    bench.run(bench.nats.delete(seqs[1].0)).expect("deleted");
    let reload = || try_to_open(&bench.thread, &bench.nats, &bench.config.prefix).err();
    let tries = std::iter::repeat_with(reload).take(100); // a replica may be behind
    let error = tries.inspect(|_| std::thread::sleep(Duration::from_millis(20))).find_map(|error| error);
    let Some(StreamLoadError::Incomplete(name, seq)) = error else { panic!("{error:?}") };
    assert_eq!((name, seq), (topic("a"), seqs[0]));
    // What the topic's settings tell later is all that there is to know.
    bench.delete("a");
    let (topics, rest) = recovered(&bench.follower());
    assert_eq!(topics.iter().map(|topic| topic.name.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(rest.newest_mark, seqs[1]);
}

#[test]
fn keys_of_a_commit_are_recovered_from_all_parts() {
    let mut bench = StreamBench::new("keys");
    let mut commit = bench.prepared(&[("a", "one"), ("b", "two")]);
    let names: Vec<_> = (0..4_000).map(|n| topic(&format!("{n}/{}", "x".repeat(200)))).collect();
    let record = |n: u8, names: &[TopicName]| KeyRecord {
        key: IdempotencyKey { key: [n; 16], fingerprint: [n; 16], owner: 7 },
        time: commit.time,
        receipts: StoredReceipts::new(commit.events[0].1.event.seq, names.iter()),
    };
    commit.keys = vec![record(1, &names[..1]), record(2, &names)];
    bench.store.commit(&commit).expect("stored");
    assert_eq!(bench.store.head(), commit.events[1].1.event.seq.0, "keys expire");
    assert_eq!(bench.store.last(), bench.store.head() + 2, "in two parts");
    assert_eq!(recovered(&bench.follower()).1.keys, commit.keys);
    bench.committed(&commit, &[("a", "one"), ("b", "two")]);
    bench.commit(&[("a", "three")]);
    let ttl = bench.run(bench.nats.message(bench.store.head() - 1)).expect("read").expect("there");
    assert_eq!(ttl.headers.get("Nats-TTL"), Some(&*format!("{}s", LogConfig::FIXTURE_WINDOW.as_secs() + 60)));
}

#[test]
fn a_hub_knows_of_the_proofs_that_it_has_written() {
    let mut bench = StreamBench::new("proofs");
    let seqs = bench.commit(&[("a", "one")]);
    for _ in 0..2 {
        bench.store.prove().expect("stored");
    }
    let last = bench.run(bench.nats.stream()).expect("a stream").last;
    assert_eq!(last, seqs[0].0 + 2);
    // From here it follows when another hub leads; the first proof was replaced by the second one.
    assert_eq!((bench.store.last(), bench.store.head()), (last, last));
    let later = bench.commit(&[("a", "two")]);
    let (after, through) = (Seq(seqs[0].0 - 1), later[0]);
    let ring = bench.store.core.ring.lock();
    assert_eq!(ring.topic(bench.key("a"), after, through).expect("in memory").count(), 2);
}

#[test]
fn what_another_hub_writes_is_taken_in() {
    let mut bench = StreamBench::new("seen");
    let follower = bench.follower();
    let seqs = bench.commit(&[("a", "one"), ("b", "two"), ("a", "three")]);
    let a = bench.key("a");
    bench.store.remove((a, &topic("a")), seqs[0]).expect("stored");
    bench.delete("b");
    for seq in follower.last() + 1..=bench.store.last() {
        follower.saw(&bench.run(bench.nats.leader_message(seq)).expect("read").expect("there"));
    }
    assert_eq!((follower.last(), follower.head()), (bench.store.last(), bench.store.head()));
    assert_eq!(follower.mark(&topic("b")), Some(seqs[1]));
    let limit = ReadLimit { events: 9, bytes: 999 };
    let read = |store: &JetStreamStore| store.topic_events((a, &topic("a")), Seq(0), seqs[2], limit).expect("read");
    let read = (read(&follower), read(&bench.store));
    assert_eq!(read.0, read.1);
    assert!(read.0[0].event.is_tombstone());
    assert_eq!(follower.core.ring.lock().topic(a, Seq(seqs[0].0 - 1), seqs[2]).expect("in memory").count(), 2);
}

#[test]
fn keys_that_expire_while_a_hub_starts_cost_it_little_and_those_that_are_missing_stop_it() {
    const EXPIRED: u64 = 300;
    let bench = StreamBench::new("expired");
    let record = |n: u64| KeyRecord {
        key: IdempotencyKey { key: [1; 16], fingerprint: [1; 16], owner: n },
        time: Millis(n),
        receipts: StoredReceipts::new(Seq(n), [&topic("a")].into_iter()),
    };
    let mut wanted = stored_keys::WantedKeys::new();
    // Each in a message of its own, stored for these seconds.
    let mut store = |n: u64, ttl: u64| {
        let part = encode_keys(&[record(n)]).pop().expect("one");
        let mut headers = part.headers();
        headers.push((super::super::writes::TTL, format!("{ttl}s")));
        let subject = bench.store.core.subjects.keys(Seq(n), 0);
        let last = bench.run(bench.nats.stream()).expect("there").last;
        let stored = bench.run(bench.nats.write(
            vec![Outgoing { subject, headers, payload: part.payload }],
            last,
            Duration::from_secs(5),
        ));
        let seq = stored.expect("stored");
        let message = bench.run(bench.nats.leader_message(seq)).expect("read").expect("there");
        wanted.insert(seq, stored_keys::needed_until(message.time, &message.headers));
        seq
    };
    let last_expired = (0..EXPIRED).map(|n| store(n, 1)).last().expect("some");
    let kept: Vec<u64> = (EXPIRED..EXPIRED + 3).map(|n| store(n, 600)).collect();
    while bench.run(bench.nats.leader_message(last_expired)).expect("read").is_some() {
        std::thread::sleep(Duration::from_millis(100));
    }
    let received = || bench.nats.received();
    let before = received();
    let read_at =
        |newest| bench.run(stored_keys::read(&bench.nats, &bench.store.core.subjects, wanted.clone(), newest));
    let read = || read_at(Millis(0));
    let keys = read().expect("the rest");
    assert_eq!(keys.iter().map(|key| key.key.owner).collect::<Vec<_>>(), [EXPIRED, EXPIRED + 1, EXPIRED + 2]);
    assert!(received() - before < EXPIRED / 2, "{} messages were read", received() - before);
    // One that has not expired is not taken for one that has.
    assert!(bench.run(bench.nats.delete(kept[1])).expect("deleted"));
    let error = loop {
        match read() {
            Ok(keys) => assert_eq!(keys.len(), 3, "of a replica that still has it"),
            Err(error) => break error,
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(matches!(error, StreamLoadError::Nats(NatsError::NoAnswer(_))), "{error}");
    // Unless it has by the servers' clock, which is ahead of this machine's.
    let ahead = Millis(Millis::from(std::time::SystemTime::now()).0 + 3_600_000);
    assert!(read_at(ahead).is_ok());
}

#[test]
fn a_removed_event_that_was_trimmed_is_purged_by_the_hub_that_leads_next() {
    let mut bench = StreamBench::new("place");
    let follower = bench.follower();
    let seqs = bench.commit(&[("a", "one"), ("a", "two")]);
    let a = bench.key("a");
    bench.store.remove((a, &topic("a")), seqs[0]).expect("stored");
    bench.trim("a", seqs[0], 1);
    for seq in follower.last() + 1..=bench.store.last() {
        follower.saw(&bench.run(bench.nats.leader_message(seq)).expect("read").expect("there"));
    }
    let subject = follower.core.subjects.tombstone(&topic("a"), seqs[0]);
    let is_stored = || bench.run(bench.nats.leader_last(&subject)).expect("read").is_some();
    let is_known = || follower.core.removed.lock().get(a, seqs[0]).is_some();
    assert!(is_stored() && is_known(), "until the hub that leads has purged it");
    assert!(try_to_lead(&bench.thread, &bench.nats, &follower));
    follower.reclaim(&NoneLive).expect("purged");
    assert!(!is_stored() && !is_known());
}
