//! An event that is taken back: nobody reads it, and no file holds a byte of it a while later.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::engine::log::store::{Liveness, Taken};
use crate::engine::sled::SledStore;

/// Nothing but the secret holds it, and no compression hides it.
const SECRET: &str = "swordfish-4711-swordfish";

pub(super) struct All;

impl Liveness for All {
    fn first_kept(&self, _: TopicKey) -> Option<Seq> {
        Some(Seq(1))
    }
}

/// Keeps all but this topic.
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

/// Does it also when the test fails.
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
    fn take_back(&mut self, topic: &str, seq: u64) {
        let key = self.keys[topic];
        let place = self.events.iter_mut().find(|(_, event)| event.seq == Seq(seq)).expect("published");
        let taken = self.store.remove(key, Seq(seq)).expect("possible");
        assert_eq!(taken, Taken::Now(place.1.new.data.len() as u64));
        place.1 = Arc::new(place.1.tombstone());
    }

    fn reclaim(&self) {
        self.store.reclaim(&All).expect("reclaimed");
    }

    fn check_counted(&self) {
        let bytes: u64 = self.events.iter().map(|(_, event)| event.new.data.len() as u64).sum();
        assert_eq!(self.topics.values().map(|topic| topic.bytes).sum::<u64>(), bytes, "as counted when it was opened");
    }
}

#[test]
fn no_file_holds_a_byte_of_it_and_everything_else_stays() {
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
            bench.take_back("a", 5 * n + 3);
        }
        bench.check_all();
        assert!(bench.store.unscrubbed() > 0);
        bench.sealed();
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
fn a_restart_goes_on_where_a_crash_came_between() {
    let dir = tempfile::tempdir().expect("a directory");
    let (begun, removed, copied) = (dir.path().join("begun"), dir.path().join("removed"), dir.path().join("copied"));
    let (mut bench, _) = Bench::with(later(&begun));
    bench.publish(&[("a", "before"), ("a", SECRET), ("b", "x")]);
    bench.store.shared.rotate_soon.store(true, Ordering::Relaxed);
    bench.publish(&[("a", SECRET)]);
    bench.sealed();
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
    assert_eq!(recovered.untold, [(key, Seq(2)), (key, Seq(4))], "they are to be gone through again");
    let mut again = Bench { events: bench.events.clone(), ..again };
    again.check_all();
    again.take_back("a", 2);
    again.take_back("a", 4);
    copy_dir(&removed, &copied);
    let Bench { store, events, .. } = again;
    drop(store);
    let check = |dir: &Path| {
        let (bench, recovered) = Bench::with(at_once(dir));
        assert_eq!((recovered.lost, bench.store.losses()), (vec![], 0));
        let bench = Bench { events: events.clone(), ..bench };
        bench.check_all();
        bench.check_counted();
        bench.sealed();
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
fn an_event_taken_back_behind_the_copier_is_in_no_copy() {
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
            bench.take_back("a", 2 * n + 1);
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

/// Many removals one after the other do not keep the first one's bytes on the disk: what is taken back behind the
/// copier is taken out of the copy, which is copied in turn.
#[test]
fn a_copy_that_an_event_was_taken_back_behind_is_no_copy_in_vain() {
    struct Behind<'a>(&'a SledStore, [TopicKey; 2], AtomicBool);
    impl Liveness for Behind<'_> {
        fn first_kept(&self, key: TopicKey) -> Option<Seq> {
            if key == self.1[1] && !self.2.swap(true, Ordering::Relaxed) {
                // The copier has had the first topic.
                assert_eq!(self.0.remove(self.1[0], Seq(3)).expect("possible"), Taken::Now(6));
            }
            Some(Seq(1))
        }
    }
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(at_once(dir.path()));
    bench.publish(&[("a", SECRET), ("b", "x"), ("a", "second"), ("a", "kept")]);
    bench.take_back("a", 1);
    let behind = Behind(&bench.store, [bench.keys["a"], bench.keys["b"]], AtomicBool::new(false));
    bench.store.reclaim(&behind).expect("reclaimed");
    bench.events[2].1 = Arc::new(bench.events[2].1.tombstone());
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
fn a_damaged_segment_that_holds_it_is_not_kept_in_quarantine() {
    for at_start in [false, true] {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut bench, _) = Bench::with(later(dir.path()));
        bench.publish(&[("a", SECRET)]);
        bench.store.shared.rotate_soon.store(true, Ordering::Relaxed);
        bench.publish(&[("a", "second")]);
        bench.sealed();
        bench.take_back("a", 1);
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
        bench.sealed();
        bench.reclaim();
        assert_eq!((holders(dir.path()), bench.store.unscrubbed()), (vec![], 0), "{at_start}");
        assert_eq!(bench.store.losses(), 1);
        assert_eq!(bench.read("a", 1).len(), 1);
    }
}

#[test]
fn a_full_disk_keeps_it_waiting_and_no_longer() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(at_once(dir.path()));
    bench.publish(&[("dead", "x")]);
    bench.store.shared.rotate_soon.store(true, Ordering::Relaxed);
    bench.publish(&[("a", SECRET), ("a", "x")]);
    bench.sealed();
    let (a, dead) = (bench.keys["a"], bench.keys["dead"]);
    assert_eq!(bench.store.remove(a, Seq(2)).expect("possible"), Taken::Now(SECRET.len() as u64));
    let (mut bench, _) = bench.reopen(SledConfig { reserve_bytes: 1 << 60, ..at_once(dir.path()) });
    bench.events.remove(0);
    bench.events[0].1 = Arc::new(bench.events[0].1.tombstone());
    assert!(matches!(bench.store.reclaim(&AllBut(dead)), Err(StoreError::Full)));
    assert_eq!(bench.segments(), 1, "space is taken back all the same");
    bench.keys.remove("dead");
    assert!(matches!(bench.store.remove(a, Seq(3)), Err(StoreError::Full)), "nothing is begun");
    assert_eq!(bench.store.unscrubbed(), 1);
    let (mut bench, _) = bench.reopen(at_once(dir.path()));
    bench.keys.remove("dead");
    bench.reclaim();
    assert_eq!(holders(dir.path()), Vec::<String>::new());
    bench.check_all();
}

/// Names that are refused today are no reason to keep what is taken back.
#[test]
fn an_event_of_a_topic_with_an_old_name_is_taken_back_like_any_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(at_once(dir.path()));
    let old = TopicName::stored("a/../b").expect("an old name");
    let commit = bench.build(vec![NewEvent::new(old.clone(), SECRET), NewEvent::new(old, "second")]);
    bench.commit(&commit);
    let key = bench.keys["a/../b"];
    assert_eq!(bench.store.remove(key, Seq(1)).expect("possible"), Taken::Now(SECRET.len() as u64));
    bench.reclaim();
    assert_eq!((holders(dir.path()), bench.store.unscrubbed()), (vec![], 0));
}

#[test]
fn what_is_no_event_of_the_topic_leaves_nothing_to_be_done() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(later(dir.path()));
    bench.publish(&[("a", "x"), ("b", "y")]);
    let (a, removals) = (bench.keys["a"], &bench.store.shared.removals);
    assert_eq!(bench.store.remove(a, Seq(2)).expect("possible"), Taken::Nothing);
    bench.store.shared.writer.lock().as_ref().expect("open").tables.topics.remove(a.0.to_be_bytes()).expect("removed");
    assert_eq!(bench.store.remove(a, Seq(1)).expect("possible"), Taken::Nothing, "whose it is, is not known");
    assert_eq!((removals.lock().pending_notices(), bench.store.unscrubbed()), (&[][..], 0));
}

/// The tombstone is in sled's memory, and its flush failed: nobody was told, and nothing is durable.
#[test]
fn a_removal_that_failed_half_done_is_done_by_the_same_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(later(dir.path()));
    bench.publish(&[("a", SECRET)]);
    bench.store.shared.rotate_soon.store(true, Ordering::Relaxed);
    bench.publish(&[("a", "x")]);
    bench.sealed();
    let key = bench.keys["a"];
    bench.take_back("a", 1);
    bench.store.shared.removals.lock().add_failed(key, Seq(1), 24);
    assert_eq!(bench.store.remove(key, Seq(1)).expect("possible"), Taken::Now(24), "readers hear of it now");
    assert_eq!(bench.store.remove(key, Seq(1)).expect("possible"), Taken::Before);
}

/// What a copy that could not be listed, nor given up, left behind.
#[test]
fn a_copy_that_was_left_over_is_made_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(at_once(dir.path()));
    bench.publish(&[("a", SECRET), ("a", "x")]);
    bench.store.shared.rotate_soon.store(true, Ordering::Relaxed);
    bench.publish(&[("a", "y")]);
    bench.sealed();
    let left = dir.path().join("seg/00000000000000000001-1");
    copy_dir(&dir.path().join("seg/00000000000000000001"), &left);
    bench.take_back("a", 1);
    bench.reclaim();
    assert_eq!((holders(dir.path()), bench.store.unscrubbed()), (vec![], 0));
    let (bench, _) = bench.reopen(config(dir.path()));
    bench.check_all();
}

#[test]
fn a_copy_that_cannot_be_listed_is_given_up_and_made_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(at_once(dir.path()));
    bench.publish(&[("a", SECRET), ("a", "x")]);
    bench.store.shared.rotate_soon.store(true, Ordering::Relaxed);
    bench.publish(&[("a", "y")]);
    bench.sealed();
    bench.take_back("a", 1);
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

/// Who asks may be the thread of many streams.
#[test]
fn how_the_store_is_does_not_wait_for_its_disk() {
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
fn what_is_all_gone_goes_with_its_segment() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(at_once(dir.path()));
    bench.publish(&[("a", SECRET)]);
    bench.take_back("a", 1);
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

/// A copy covers more than its last commit: what it was made of may have ended with dead ones.
#[test]
fn a_copy_that_an_event_is_taken_back_from_is_read_whole_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(SledConfig { rotate_bytes: 64 << 10, ..later(dir.path()) });
    bench.publish(&[("a", SECRET), ("a", "kept")]);
    let mut commit = bench.build(vec![NewEvent::new(name("dead"), "x".repeat(40_000).as_str())]);
    let key = IdempotencyKey { key: [1; 16], fingerprint: [2; 16], owner: 0 };
    commit.keys.push(KeyRecord {
        key,
        time: commit.time,
        receipts: StoredReceipts::new(Seq(3), [(&name("dead"), 0)].into_iter()),
    });
    bench.commit(&commit);
    bench.store.shared.rotate_soon.store(true, Ordering::Relaxed);
    bench.publish(&[("a", "newest")]);
    bench.sealed();
    bench.store.reclaim(&AllBut(bench.keys["dead"])).expect("reclaimed");
    bench.events.retain(|(key, _)| *key != bench.keys["dead"]);
    assert_eq!(bench.store.shared.segments.list()[0].name(), (Seq(1), 1), "a copy");
    bench.take_back("a", 1);
    let (mut bench, recovered) = bench.reopen(later(dir.path()));
    assert_eq!((recovered.keys, recovered.lost, recovered.head), (commit.keys, vec![], Seq(4)));
    assert_eq!(bench.store.shared.segments.list()[0].summary().expect("sealed").span.head, Seq(3));
    bench.keys.remove("dead");
    bench.check_all();
    bench.check_counted();
}
