//! Events, settings and keys are read back as written, after a restart, too.

use super::*;

fn key(n: u8) -> IdempotencyKey {
    IdempotencyKey { key: [n; 16], fingerprint: [n + 1; 16], owner: u64::from(n) }
}

#[test]
fn every_part_of_an_event_survives_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, recovered) = Bench::open(dir.path());
    assert_eq!((recovered.head, recovered.next, bench.topics.len()), (Seq(0), Seq(1), 0));
    let large: String = "größe ".repeat(40_000);
    let rich = NewEvent {
        topic: name("a/b"),
        name: EventName::new("token").expect("valid"),
        data: Data::from("one\ntwo\0"),
        retry: Some(5000),
        close: true,
        of_run: true,
        traceparent: TraceParent::from_bytes([7; TraceParent::BYTES]).map(Arc::new),
        metadata: Metadata::stored(&[1; 300]),
    };
    let binary = NewEvent { data: Data::binary(vec![0xFF; 100_000].into()), ..NewEvent::new(name("binary"), "") };
    let commit = bench.build(vec![
        NewEvent::new(name("a/b"), "first"),
        NewEvent::new(name("größe/ü"), large.as_str()),
        NewEvent::new(name("a/b"), ""),
        rich,
        binary,
    ]);
    bench.commit(&commit);
    for n in 0..50 {
        bench.publish(&[("c", &"x".repeat(n * 7)), ("d", "y"), ("c", "z")]);
    }
    bench.check_all();
    let (bench, recovered) = bench.reopen(config(dir.path()));
    bench.check_all();
    assert_eq!((recovered.head.0 + 1, recovered.next.0), (156, 156));
    assert_eq!(recovered.last_time, Millis(1_000_051));
    assert_eq!(recovered.lost, []);
    let closed = &bench.topics["a/b"];
    assert_eq!((closed.first, closed.last, closed.events, closed.last_closes), (Seq(1), Seq(4), 3, true));
    assert_eq!(closed.bytes, 5 + 8 + 300);
    assert_eq!(bench.topics.len(), 5);
}

#[test]
fn a_page_ends_at_its_limit_and_the_next_continues() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::open(dir.path());
    for n in 0..40 {
        let data = "x".repeat(n % 10 * 100);
        bench.publish(&[("a", &data), ("b", &data), ("a", &data)]);
    }
    for limit in
        [ReadLimit { events: 1, bytes: 0 }, ReadLimit { events: 7, bytes: 900 }, ReadLimit { events: 5, ..ALL }]
    {
        let (mut at, mut pages) = (0, Vec::new());
        loop {
            let (page, through) = bench.scan(at, limit);
            assert!(page.len() <= limit.events);
            assert!(
                page.len() == 1
                    || page.iter().map(|stored| stored.event.new.payload_bytes()).sum::<usize>() <= limit.bytes
            );
            if page.is_empty() {
                assert_eq!(through, 120);
                break;
            }
            at = through;
            pages.extend(page);
        }
        assert!(pages.iter().eq(bench.events.iter().map(|(_, stored)| stored)));
        let (mut at, mut pages) = (Seq(0), Vec::new());
        let topic = (bench.keys["a"], &name("a"));
        loop {
            let page = bench.store.topic_events(topic, at, Seq(u64::MAX), limit).expect("read");
            let Some(last) = page.last() else { break };
            at = last.event.seq;
            pages.extend(page);
        }
        assert_eq!(pages, bench.read("a", 0));
    }
    let half = bench.store.topic_events((bench.keys["a"], &name("a")), Seq(10), Seq(20), ALL).expect("read");
    assert!(half.iter().all(|stored| (11..=20).contains(&stored.event.seq.0)) && half.len() == 6);
}

#[test]
fn headers_match_the_events() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::open(dir.path());
    for n in 0..20 {
        bench.publish(&[("a", &"x".repeat(n)), ("b", "y")]);
    }
    let headers = bench.store.topic_headers((bench.keys["a"], &name("a")), Seq(5), Seq(u64::MAX), 7).expect("read");
    let events = bench.read("a", 5);
    assert_eq!(headers.len(), 7);
    for (header, StoredEvent { prev, event }) in headers.iter().zip(events) {
        assert_eq!((header.seq, header.prev, header.time), (event.seq, prev, event.time));
        assert_eq!(header.bytes, event.new.payload_bytes() as u64);
    }
}

#[test]
fn a_time_maps_to_the_position_before_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let small = SledConfig { rotate_bytes: 1, ..config(dir.path()) };
    let (mut bench, _) = Bench::with(small);
    assert_eq!(bench.store.position_before(Millis(5)).expect("read"), Seq(0));
    for _ in 0..10 {
        bench.time += 9;
        bench.publish(&[("a", "x"), ("a", "y")]);
    }
    for (time, before) in [(0, 0), (1_000_010, 0), (1_000_011, 2), (1_000_020, 2), (1_000_100, 18), (1_000_101, 20)] {
        assert_eq!(bench.store.position_before(Millis(time)).expect("read"), Seq(before), "{time}");
    }
}

#[test]
fn settings_and_marks_survive_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let (bench, _) = Bench::open(dir.path());
    let metadata = Metadata::new(1, &[9; Metadata::MAX_BYTES - 1]).ok();
    let own = TopicSettings { max_events: Some(Some(7)), exists: true, metadata, ..TopicSettings::default() };
    let marked = TopicSettings { deleted_through: Some(Seq(40)), ..TopicSettings::default() };
    let both = TopicSettings { deleted_through: Some(Seq(30)), retry: Some(9), ..TopicSettings::default() };
    for (topic, settings) in [("a", &own), ("del/1", &marked), ("del/2", &both), ("gone", &own)] {
        bench.store.save_settings(&[TopicRecord::new(name(topic), settings.clone())]).expect("saved");
    }
    bench.store.save_settings(&[TopicRecord::new(name("gone"), TopicSettings::default())]).expect("saved");
    let (bench, recovered) = bench.reopen(config(dir.path()));
    assert_eq!(recovered.settings, [(name("a"), own), (name("del/2"), both)]);
    assert_eq!(recovered.newest_mark, Seq(40));
    assert_eq!(bench.store.mark(&name("del/1")), Some(Seq(40)));
    assert_eq!(bench.store.mark(&name("a")), None);
    assert_eq!(bench.store.marks("del/", Seq(0)), [(name("del/1"), Seq(40)), (name("del/2"), Seq(30))]);
    assert_eq!(bench.store.marks("del/", Seq(30)), [(name("del/1"), Seq(40))]);
    assert_eq!(bench.store.marks("e", Seq(0)), []);
}

#[test]
fn idempotency_keys_survive_a_restart_and_their_window_ends() {
    let dir = tempfile::tempdir().expect("a directory");
    for rotate_bytes in [1, 1 << 30] {
        let dir = dir.path().join(rotate_bytes.to_string());
        let config = SledConfig { rotate_bytes, ..config(&dir) };
        let (mut bench, _) = Bench::with(config.clone());
        let mut records = Vec::new();
        for n in 0..8 {
            bench.time += 100_000;
            let mut commit = bench.build(vec![NewEvent::new(name("a"), "x")]);
            let topics: Vec<_> = (0..u32::from(n) * 1000).map(|n| name(&format!("a/{}", n % 7))).collect();
            let receipts = StoredReceipts::new(commit.events[0].1.event.seq, topics.iter());
            let record = KeyRecord { key: key(n), time: commit.time, receipts };
            commit.keys.push(record.clone());
            bench.commit(&commit);
            records.push(record);
        }
        let only = KeyRecord { key: key(100), time: Millis(bench.time), receipts: StoredReceipts::default() };
        let commit = Commit {
            events: Vec::new(),
            states: Vec::new(),
            origins: Vec::new(),
            keys: vec![only.clone()],
            time: only.time,
        };
        bench.store.commit(&commit).expect("accepted");
        records.push(only);
        let (_, recovered) = bench.reopen(config);
        let valid = records.iter().filter(|record| record.time.0 + 600_000 >= records[7].time.0);
        assert!(recovered.keys.iter().eq(valid), "{:?}", recovered.keys.len());
    }
}

#[test]
fn a_second_opener_is_refused_and_the_error_names_the_lock() {
    let dir = tempfile::tempdir().expect("a directory");
    let (bench, _) = Bench::open(dir.path());
    let refused = SledStore::open(config(dir.path())).expect_err("in use");
    assert!(matches!(refused, OpenError::Locked { .. }) && refused.to_string().contains("/lock"), "{refused}");
    bench.store.close();
    SledStore::open(config(dir.path())).expect("free again");
}

#[test]
fn a_newer_format_is_refused_and_the_error_names_it() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("format"), "gapless store\nformat 7\n").expect("written");
    let refused = SledStore::open(config(dir.path())).expect_err("newer");
    assert_eq!(refused.to_string(), "this store has format 7, this gapless reads up to 3; use a newer gapless");
    std::fs::write(dir.path().join("format"), "something else").expect("written");
    assert!(matches!(SledStore::open(config(dir.path())), Err(OpenError::NotAStore { .. })));
}

#[test]
fn a_closed_store_refuses_reads_and_writes() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::open(dir.path());
    bench.publish(&[("a", "x")]);
    bench.store.close();
    bench.store.close();
    let commit = bench.build(vec![NewEvent::new(name("a"), "y")]);
    assert!(matches!(bench.store.commit(&commit), Err(StoreError::Failed(_))));
    assert!(bench.store.topic_events((bench.keys["a"], &name("a")), Seq(0), Seq(9), ALL).is_err());
}

#[test]
fn events_are_found_across_many_segments() {
    let dir = tempfile::tempdir().expect("a directory");
    let small = SledConfig { rotate_bytes: 1, max_open_segments: 3, ..config(dir.path()) };
    let (mut bench, _) = Bench::with(small.clone());
    for n in 0..30 {
        bench.publish(&[("always", "x"), (if n % 7 == 0 { "rare" } else { "often" }, "y")]);
    }
    bench.check_all();
    let (bench, _) = bench.reopen(small);
    bench.check_all();
    let always = &bench.topics["always"];
    assert_eq!((always.first, always.last, always.events), (Seq(1), Seq(59), 30));
    let rare = &bench.topics["rare"];
    assert_eq!((rare.first, rare.last, rare.events), (Seq(2), Seq(58), 5));
}

#[test]
fn a_large_newest_segment_is_sealed_by_an_opening_and_its_memory_is_released() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::open(dir.path());
    bench.publish(&[("a", "1"), ("b", "2")]);
    let (bench, _) = bench.reopen(config(dir.path()));
    assert_eq!(bench.segments(), 1, "commits continue in a small one");
    let (mut bench, _) = bench.reopen(SledConfig { rotate_bytes: 1, ..config(dir.path()) });
    let list = bench.store.shared.segments.list();
    assert_eq!(list.len(), 2);
    assert!(list[0].summary().is_some() && list[0].idle_since().is_none(), "sealed and closed");
    bench.publish(&[("a", "3")]);
    bench.check_all();
    let (bench, _) = bench.reopen(config(dir.path()));
    bench.check_all();
    let a = &bench.topics["a"];
    assert_eq!((a.first, a.last, a.events), (Seq(1), Seq(bench.next - 1), 2));
}

#[test]
fn a_sealed_segment_that_nobody_reads_is_closed() {
    let dir = tempfile::tempdir().expect("a directory");
    for (close_after, open) in [(std::time::Duration::from_hours(1), 2), (std::time::Duration::ZERO, 0)] {
        let dir = dir.path().join(open.to_string());
        let (mut bench, _) = Bench::with(SledConfig { rotate_bytes: 1, close_after, ..config(&dir) });
        for text in ["1", "2", "3"] {
            bench.publish(&[("a", text)]);
        }
        bench.wait_sealed();
        bench.check_all();
        let segments = &bench.store.shared.segments;
        segments.close_idle();
        assert_eq!(segments.list().iter().filter(|segment| segment.idle_since().is_some()).count(), open);
        bench.check_all();
    }
}

#[test]
fn a_sealed_segment_that_holds_nothing_of_a_topic_is_not_opened_for_its_reader() {
    let dir = tempfile::tempdir().expect("a directory");
    let small = || SledConfig { rotate_bytes: 32 << 10, ..config(dir.path()) };
    let (mut bench, _) = Bench::with(small());
    let filling = "x".repeat(4000);
    for n in 0..40 {
        let quiet = if n == 20 { "quiet" } else { "busy" };
        bench.publish(&[(quiet, "q"), ("busy", &filling)]);
    }
    bench.wait_sealed();
    let (bench, _) = bench.reopen(small());
    let open = || bench.store.shared.segments.list().iter().filter(|segment| segment.idle_since().is_some()).count();
    assert!(bench.segments() > 3 && open() == 0);
    assert_eq!(bench.read("quiet", 0).len(), 1);
    assert_eq!(open(), 1);
    assert!(bench.read("quiet", 41).is_empty());
    assert_eq!(bench.read("busy", 0).len(), 79);
}

/// Lengths of the segments' databases, oldest first.
fn lengths(dir: &Path) -> Vec<u64> {
    let entries = std::fs::read_dir(dir.join("seg")).expect("there").map(|entry| entry.expect("read").path());
    let mut segments: Vec<_> = entries.collect();
    segments.sort();
    segments.iter().map(|segment| std::fs::metadata(segment.join("db")).expect("there").len()).collect()
}

#[test]
fn a_segment_ends_with_the_commit_that_fills_it() {
    const FULL: u64 = 256 << 10;
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(SledConfig { rotate_bytes: FULL, ..config(dir.path()) });
    for _ in 0..150 {
        bench.publish(&[("a", &"x".repeat(4000))]);
    }
    let lengths = lengths(dir.path());
    let (_, full) = lengths.split_last().expect("there is one");
    // A file exceeds it by one commit with the pages it rewrites, and by the appended zeros.
    assert!(full.len() >= 2 && full.iter().all(|len| (FULL..FULL * 3 / 2).contains(len)), "{lengths:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn few_small_commits_extend_the_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::open(dir.path());
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..300 {
        bench.publish(&[("a", "small")]);
        seen.extend(lengths(dir.path()));
    }
    assert!(seen.len() < 50, "{seen:?}");
}

#[test]
fn the_newest_positions_are_found_backwards_over_segments_and_large_events() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(SledConfig { rotate_bytes: 200_000, ..config(dir.path()) });
    for n in 0..60 {
        let data = "x".repeat([10, 5000, 60_000, 200, 120_000][n % 5]);
        bench.publish(&[("a", &data), ("b", "y"), ("a", "z")]);
    }
    assert!(bench.segments() > 3, "several segments");
    let (bench, _) = bench.reopen(config(dir.path()));
    for topic in ["a", "b"] {
        let key = bench.keys[topic];
        let newest = bench.events.iter().rev().filter(|(of, _)| *of == key).map(|(_, stored)| &stored.event);
        let all: Vec<(Seq, u64)> = newest.map(|event| (event.seq, event.new.payload_bytes() as u64)).collect();
        for (after, through, max) in
            [(0, 1000, 1000), (0, 1000, 7), (0, 77, 1000), (50, 120, 1000), (100, 100, 9), (0, 0, 9)]
        {
            let want = all.iter().copied().filter(|(seq, _)| (after + 1..=through).contains(&seq.0)).take(max);
            let found = bench.store.topic_newest((key, &name("a")), Seq(after), Seq(through), max).expect("readable");
            let want: Vec<_> = want.collect();
            let seqs = |all: &[(Seq, u64)]| all.iter().map(|(seq, _)| *seq).collect::<Vec<_>>();
            assert_eq!(
                found.iter().map(|position| position.seq).collect::<Vec<_>>(),
                seqs(&want),
                "{topic}: {max} in {after}..={through}"
            );
            for (position, (_, bytes)) in found.iter().zip(want) {
                let rounded = bytes..=if bytes > 8192 { bytes + 16_384 } else { bytes };
                assert!(!position.removed && rounded.contains(&position.bytes), "{position:?} of {bytes} bytes");
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_store_of_many_segments_needs_no_more_descriptors_than_it_says() {
    let open = || std::fs::read_dir("/proc/self/fd").expect("there").count();
    let before = open();
    let dir = tempfile::tempdir().expect("a directory");
    let config = SledConfig { rotate_bytes: 1, ..config(dir.path()) };
    let (mut bench, _) = Bench::with(config.clone());
    for _ in 0..60 {
        bench.publish(&[("a", "x")]);
    }
    bench.wait_sealed();
    bench.check_all();
    assert!(bench.segments() >= 60);
    let needed = open() - before;
    assert!(needed <= config.descriptors(), "{needed} of {}", config.descriptors());
    let (bench, _) = bench.reopen(config.clone());
    bench.check_all();
    let needed = open() - before;
    assert!(needed <= config.descriptors(), "{needed} of {} after a start", config.descriptors());
}
