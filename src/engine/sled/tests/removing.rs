//! Removing an event: readers get its tombstone, and soon no file holds a byte of its data.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::engine::log::store::{Liveness, RemoveOutcome};
use crate::engine::sled::SledStore;

/// Occurs only in the data of the event to be removed. The store does not compress.
const SECRET: &str = "swordfish-4711-swordfish";

pub(super) struct All;

impl Liveness for All {
    fn first_kept(&self, _: TopicKey) -> Option<Seq> {
        Some(Seq(1))
    }
}

/// Keeps all topics except this one.
struct AllBut(TopicKey);

impl Liveness for AllBut {
    fn first_kept(&self, key: TopicKey) -> Option<Seq> {
        (key != self.0).then_some(Seq(1))
    }
}

/// Keeps nothing.
struct Dead;

impl Liveness for Dead {
    fn first_kept(&self, _: TopicKey) -> Option<Seq> {
        None
    }
}

/// Runs a function on drop, when the test fails, too.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

fn at_once(dir: &Path) -> SledConfig {
    SledConfig { scrub_after: std::time::Duration::ZERO, ..config(dir) }
}

fn later(dir: &Path) -> SledConfig {
    SledConfig { scrub_after: std::time::Duration::from_hours(1), ..config(dir) }
}

/// Files below `dir` that hold the secret.
fn holders(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("there").map(|entry| entry.expect("there")) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holders(&path));
        } else if let Ok(bytes) = std::fs::read(&path)
            && bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes())
        {
            found.push(path.display().to_string());
        }
    }
    found
}

impl Bench {
    fn remove(&mut self, topic: &str, seq: u64) {
        let key = self.keys[topic];
        let entry = self.events.iter_mut().find(|(_, stored)| stored.event.seq == Seq(seq)).expect("published");
        let taken = self.store.remove((key, &name("a")), Seq(seq)).expect("possible");
        assert_eq!(taken, RemoveOutcome::Removed(entry.1.event.new.payload_bytes() as u64));
        entry.1 = entry.1.tombstone();
    }

    fn reclaim(&self) {
        self.store.reclaim(&All).expect("reclaimed");
    }

    fn check_counted(&self) {
        let bytes: u64 = self.events.iter().map(|(_, stored)| stored.event.new.payload_bytes() as u64).sum();
        assert_eq!(self.topics.values().map(|topic| topic.bytes).sum::<u64>(), bytes, "as counted when it was opened");
    }
}

#[test]
fn no_file_holds_a_byte_of_a_removed_event_and_all_other_events_stay() {
    for (large, segments) in [(0, 1), (120_000, 1), (0, 4), (120_000, 4)] {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut bench, _) = Bench::with(at_once(dir.path()));
        let secret = format!("{}{SECRET}", "x".repeat(large));
        for n in 0..segments {
            bench.publish(&[("a", "before"), ("b", "x"), ("a", &secret), ("a", "after")]);
            bench.publish(&[("a", &format!("{n}"))]);
            if n + 1 < segments {
                bench.store.shared.rotate_soon.store(true, Ordering::Relaxed);
            }
        }
        assert!(!holders(dir.path()).is_empty(), "it can be found at all");
        for n in 0..segments {
            bench.remove("a", 5 * n + 3);
        }
        bench.check_all();
        assert!(bench.store.unscrubbed() > 0);
        bench.wait_sealed();
        bench.reclaim();
        assert_eq!((holders(dir.path()), bench.store.unscrubbed()), (vec![], 0), "{large} {segments}");
        bench.check_all();
        bench.publish(&[("a", "and on")]);
        let (bench, recovered) = bench.reopen(config(dir.path()));
        bench.check_all();
        bench.check_counted();
        assert_eq!((recovered.lost, bench.store.losses()), (vec![], 0));
        assert_eq!(holders(dir.path()), Vec::<String>::new());
    }
}

#[test]
fn a_restart_continues_a_removal_that_a_crash_interrupted() {
    let dir = tempfile::tempdir().expect("a directory");
    let (begun, removed, copied) = (dir.path().join("begun"), dir.path().join("removed"), dir.path().join("copied"));
    let (mut bench, _) = Bench::with(later(&begun));
    bench.publish(&[("a", "before"), ("a", SECRET), ("b", "x")]);
    bench.store.shared.rotate_soon.store(true, Ordering::Relaxed);
    bench.publish(&[("a", SECRET)]);
    bench.wait_sealed();
    let key = bench.keys["a"];
    {
        let list = bench.store.shared.segments.list();
        let mut removals = bench.store.shared.removals.lock();
        removals.begin(&list[0], key, Seq(2)).expect("written");
        removals.begin(&list[1], key, Seq(4)).expect("written");
    }
    // The disk as crashes would leave it: before the tombstones, after them, and between a copy and its source's
    // removal.
    copy_dir(&begun, &removed);
    let (again, recovered) = Bench::with(later(&removed));
    assert_eq!(recovered.pending_removals, [(key, Seq(2)), (key, Seq(4))], "their notices are pending");
    let mut again = Bench { events: bench.events.clone(), ..again };
    again.check_all();
    again.remove("a", 2);
    again.remove("a", 4);
    copy_dir(&removed, &copied);
    let Bench { store, events, .. } = again;
    drop(store);
    let check = |dir: &Path| {
        let (bench, recovered) = Bench::with(at_once(dir));
        assert_eq!((recovered.lost, bench.store.losses()), (vec![], 0));
        let bench = Bench { events: events.clone(), ..bench };
        bench.check_all();
        bench.check_counted();
        bench.wait_sealed();
        bench.reclaim();
        assert_eq!((holders(dir), bench.store.unscrubbed()), (vec![], 0));
        bench.check_all();
    };
    check(&copied);
    let sources = removed.join("seg");
    let kept = dir.path().join("kept");
    copy_dir(&sources, &kept);
    check(&removed);
    for entry in std::fs::read_dir(&kept).expect("there").map(|entry| entry.expect("there")) {
        if !sources.join(entry.file_name()).exists() {
            copy_dir(&entry.path(), &sources.join(entry.file_name()));
        }
    }
    assert!(!holders(&removed).is_empty());
    check(&removed);
}

#[test]
fn an_event_removed_while_its_segment_is_copied_is_in_no_copy() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(SledConfig { rotate_bytes: 96 << 10, ..at_once(dir.path()) });
    let filler = "x".repeat(900);
    for _ in 0..150 {
        bench.publish(&[("a", SECRET), ("b", &filler)]);
    }
    let (done, store) = (AtomicBool::new(false), Arc::clone(&bench.store.shared));
    std::thread::scope(|scope| {
        let copier = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                store.reclaim(&All).expect("reclaimed");
            }
        });
        let ends = OnDrop(|| done.store(true, Ordering::Relaxed));
        for n in 0..150 {
            bench.remove("a", 2 * n + 1);
            if n % 10 == 0 {
                bench.check_all();
            }
        }
        drop(ends);
        copier.join().expect("sound");
    });
    bench.check_all();
    bench.reclaim();
    assert_eq!((holders(dir.path()), bench.store.unscrubbed()), (vec![], 0));
    let (bench, _) = bench.reopen(config(dir.path()));
    bench.check_all();
    bench.check_counted();
}

/// Many removals in a row do not keep the first one's bytes on disk: an event removed during a copy becomes a tombstone
/// in the copy, which is copied in turn.
#[test]
fn a_copy_during_which_an_event_was_removed_is_used() {
    struct Behind<'a>(&'a SledStore, [TopicKey; 2], AtomicBool);
    impl Liveness for Behind<'_> {
        fn first_kept(&self, key: TopicKey) -> Option<Seq> {
            if key == self.1[1] && !self.2.swap(true, Ordering::Relaxed) {
                // The copier has had the first topic.
                assert_eq!(
                    self.0.remove((self.1[0], &name("a")), Seq(3)).expect("possible"),
                    RemoveOutcome::Removed(6)
                );
            }
            Some(Seq(1))
        }
    }
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(at_once(dir.path()));
    bench.publish(&[("a", SECRET), ("b", "x"), ("a", "second"), ("a", "kept")]);
    bench.remove("a", 1);
    let behind = Behind(&bench.store, [bench.keys["a"], bench.keys["b"]], AtomicBool::new(false));
    bench.store.reclaim(&behind).expect("reclaimed");
    bench.events[2].1 = bench.events[2].1.tombstone();
    assert_eq!(holders(dir.path()), Vec::<String>::new(), "the first is gone");
    assert_eq!(bench.store.unscrubbed(), 1, "the second is to go");
    bench.check_all();
    let (bench, _) = bench.reopen(at_once(dir.path()));
    bench.check_all();
    bench.check_counted();
    bench.reclaim();
    assert_eq!(bench.store.unscrubbed(), 0);
    bench.check_all();
}

#[test]
fn a_damaged_segment_that_holds_a_removed_event_is_not_kept_in_quarantine() {
    for at_start in [false, true] {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut bench, _) = Bench::with(later(dir.path()));
        bench.publish(&[("a", SECRET)]);
        bench.store.shared.rotate_soon.store(true, Ordering::Relaxed);
        bench.publish(&[("a", "second")]);
        bench.wait_sealed();
        bench.remove("a", 1);
        let segment = dir.path().join("seg/00000000000000000001");
        let bench = if at_start {
            bench.store.close();
            std::fs::write(segment.join("db"), SECRET).expect("written");
            bench.reopen(at_once(dir.path())).0
        } else {
            let (bench, _) = bench.reopen(at_once(dir.path()));
            bench.store.shared.segments.list()[0].close();
            std::fs::write(segment.join("summary"), SECRET).expect("written");
            bench
        };
        bench.wait_sealed();
        bench.reclaim();
        assert_eq!((holders(dir.path()), bench.store.unscrubbed()), (vec![], 0), "{at_start}");
        assert_eq!(bench.store.losses(), 1);
        assert_eq!(bench.read("a", 1).len(), 1);
    }
}

#[test]
fn a_full_disk_delays_the_erasure_until_there_is_room() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(at_once(dir.path()));
    bench.publish(&[("dead", "x")]);
    bench.store.shared.rotate_soon.store(true, Ordering::Relaxed);
    bench.publish(&[("a", SECRET), ("a", "x")]);
    bench.wait_sealed();
    let (a, dead) = (bench.keys["a"], bench.keys["dead"]);
    assert_eq!(
        bench.store.remove((a, &name("a")), Seq(2)).expect("possible"),
        RemoveOutcome::Removed(SECRET.len() as u64)
    );
    let (mut bench, _) = bench.reopen(SledConfig { reserve_bytes: 1 << 60, ..at_once(dir.path()) });
    bench.events.remove(0);
    bench.events[0].1 = bench.events[0].1.tombstone();
    assert!(matches!(bench.store.reclaim(&AllBut(dead)), Err(StoreError::Full)));
    assert_eq!(bench.segments(), 1, "space is reclaimed all the same");
    bench.keys.remove("dead");
    assert!(matches!(bench.store.remove((a, &name("a")), Seq(3)), Err(StoreError::Full)), "nothing is begun");
    assert_eq!(bench.store.unscrubbed(), 1);
    let (mut bench, _) = bench.reopen(at_once(dir.path()));
    bench.keys.remove("dead");
    bench.reclaim();
    assert_eq!(holders(dir.path()), Vec::<String>::new());
    bench.check_all();
}

/// Such names are refused today, but older stores have them.
#[test]
fn an_event_of_a_topic_with_an_old_name_is_removed_like_any_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(at_once(dir.path()));
    let old = TopicName::stored("a/../b").expect("an old name");
    let commit = bench.build(vec![NewEvent::new(old.clone(), SECRET), NewEvent::new(old, "second")]);
    bench.commit(&commit);
    let key = bench.keys["a/../b"];
    assert_eq!(
        bench.store.remove((key, &name("a")), Seq(1)).expect("possible"),
        RemoveOutcome::Removed(SECRET.len() as u64)
    );
    bench.reclaim();
    assert_eq!((holders(dir.path()), bench.store.unscrubbed()), (vec![], 0));
}

#[test]
fn removing_a_position_that_is_no_event_of_the_topic_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(later(dir.path()));
    bench.publish(&[("a", "x"), ("b", "y")]);
    let (a, removals) = (bench.keys["a"], &bench.store.shared.removals);
    assert_eq!(bench.store.remove((a, &name("a")), Seq(2)).expect("possible"), RemoveOutcome::NotFound);
    bench.store.shared.writer.lock().as_ref().expect("open").tables.topics.remove(a.0.to_be_bytes()).expect("removed");
    assert_eq!(
        bench.store.remove((a, &name("a")), Seq(1)).expect("possible"),
        RemoveOutcome::NotFound,
        "its topic's name is missing"
    );
    assert_eq!((removals.lock().pending_notices(), bench.store.unscrubbed()), (&[][..], 0));
}

/// The tombstone is in sled's memory and its flush failed: it is not durable, and no notice was published.
#[test]
fn a_removal_whose_flush_failed_is_completed_by_a_retry() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(later(dir.path()));
    bench.publish(&[("a", SECRET)]);
    bench.store.shared.rotate_soon.store(true, Ordering::Relaxed);
    bench.publish(&[("a", "x")]);
    bench.wait_sealed();
    let key = bench.keys["a"];
    bench.remove("a", 1);
    bench.store.shared.removals.lock().add_failed(key, Seq(1), 24);
    assert_eq!(
        bench.store.remove((key, &name("a")), Seq(1)).expect("possible"),
        RemoveOutcome::Removed(24),
        "readers get the notice now"
    );
    assert_eq!(bench.store.remove((key, &name("a")), Seq(1)).expect("possible"), RemoveOutcome::AlreadyRemoved);
}

/// Such a copy could neither be added to the list nor removed.
#[test]
fn a_copy_that_was_left_over_is_made_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(at_once(dir.path()));
    bench.publish(&[("a", SECRET), ("a", "x")]);
    bench.store.shared.rotate_soon.store(true, Ordering::Relaxed);
    bench.publish(&[("a", "y")]);
    bench.wait_sealed();
    let left = dir.path().join("seg/00000000000000000001-1");
    copy_dir(&dir.path().join("seg/00000000000000000001"), &left);
    bench.remove("a", 1);
    bench.reclaim();
    assert_eq!((holders(dir.path()), bench.store.unscrubbed()), (vec![], 0));
    let (bench, _) = bench.reopen(config(dir.path()));
    bench.check_all();
}

#[test]
fn a_copy_that_cannot_be_listed_is_removed_and_made_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(at_once(dir.path()));
    bench.publish(&[("a", SECRET), ("a", "x")]);
    bench.store.shared.rotate_soon.store(true, Ordering::Relaxed);
    bench.publish(&[("a", "y")]);
    bench.wait_sealed();
    bench.remove("a", 1);
    // A directory where the list is to be written.
    let in_the_way = dir.path().join("segments.half");
    std::fs::create_dir(&in_the_way).expect("made");
    assert!(matches!(bench.store.reclaim(&All), Err(StoreError::NotNow(_))));
    assert!(!dir.path().join("seg/00000000000000000001-1").exists(), "a start would take it for the newer one");
    bench.check_all();
    std::fs::remove_dir(in_the_way).expect("removed");
    bench.reclaim();
    assert_eq!((holders(dir.path()), bench.store.unscrubbed()), (vec![], 0));
    bench.check_all();
}

/// The caller may be the thread of many streams.
#[test]
fn the_stores_counters_do_not_wait_for_its_disk() {
    let dir = tempfile::tempdir().expect("a directory");
    let (bench, _) = Bench::open(dir.path());
    let (store, shared) = (&bench.store, &bench.store.shared);
    let (removing, recording) = (shared.removals.lock(), shared.watermark.lock());
    std::thread::scope(|scope| {
        let (answer, answered) = std::sync::mpsc::channel();
        scope.spawn(move || answer.send((store.losses(), store.unscrubbed())));
        let answered = answered.recv_timeout(std::time::Duration::from_secs(10));
        drop((removing, recording));
        assert_eq!(answered, Ok((0, 0)));
    });
}

#[test]
fn a_segment_without_live_events_is_removed_with_the_removed_ones() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(at_once(dir.path()));
    bench.publish(&[("a", SECRET)]);
    bench.remove("a", 1);
    bench.store.reclaim(&Dead).expect("reclaimed");
    assert_eq!((holders(dir.path()), bench.store.unscrubbed()), (vec![], 0));
    let (mut bench, recovered) = bench.reopen(config(dir.path()));
    assert_eq!((recovered.head, recovered.lost, bench.store.losses()), (Seq(1), vec![], 0));
    bench.events.clear();
    bench.next = recovered.next.0;
    bench.keys.clear();
    bench.publish(&[("a", "anew")]);
    bench.check_all();
}

/// A copy covers more than its last commit: its sources may have ended with dead commits.
#[test]
fn a_copy_from_which_an_event_is_removed_is_read_as_a_whole_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(SledConfig { rotate_bytes: 64 << 10, ..later(dir.path()) });
    bench.publish(&[("a", SECRET), ("a", "kept")]);
    let mut commit = bench.build(vec![NewEvent::new(name("dead"), "x".repeat(40_000).as_str())]);
    let key = IdempotencyKey { key: [1; 16], fingerprint: [2; 16], owner: 0 };
    commit.keys.push(KeyRecord {
        key,
        time: commit.time,
        receipts: StoredReceipts::new(Seq(3), [&name("dead")].into_iter()),
    });
    bench.commit(&commit);
    bench.store.shared.rotate_soon.store(true, Ordering::Relaxed);
    bench.publish(&[("a", "newest")]);
    bench.wait_sealed();
    bench.store.reclaim(&AllBut(bench.keys["dead"])).expect("reclaimed");
    bench.events.retain(|(key, _)| *key != bench.keys["dead"]);
    assert_eq!(bench.store.shared.segments.list()[0].name(), (Seq(1), 1), "a copy");
    bench.remove("a", 1);
    let (mut bench, recovered) = bench.reopen(later(dir.path()));
    assert_eq!((recovered.keys, recovered.lost, recovered.head), (commit.keys, vec![], Seq(4)));
    assert_eq!(bench.store.shared.segments.list()[0].summary().expect("sealed").span.head, Seq(3));
    bench.keys.remove("dead");
    bench.check_all();
    bench.check_counted();
}
