//! Reclaiming space: live events stay readable meanwhile and afterwards.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;
use crate::engine::log::store::Liveness;

/// The position from which on each topic's events are live.
#[derive(Clone, Default)]
struct KeptFrom(HashMap<TopicKey, Seq>);

impl Liveness for KeptFrom {
    fn first_kept(&self, key: TopicKey) -> Option<Seq> {
        self.0.get(&key).copied()
    }
}

impl Bench {
    /// Keeps the newest `count` events of a topic and drops the others.
    fn keep(&mut self, kept: &mut KeptFrom, topic: &str, count: usize) {
        let Some(&key) = self.keys.get(topic) else { return };
        let seqs: Vec<_> =
            self.events.iter().filter(|(of, _)| *of == key).map(|(_, stored)| stored.event.seq).collect();
        let Some(&first) = seqs.get(seqs.len().saturating_sub(count)) else {
            kept.0.remove(&key);
            self.events.retain(|(of, _)| *of != key);
            return;
        };
        kept.0.insert(key, first);
        self.events.retain(|(of, stored)| *of != key || stored.event.seq >= first);
    }

    /// Asserts that live events are read, by topic and by scan. Dead ones may be.
    fn check_kept(&self, kept: &KeptFrom) {
        for (text, key) in &self.keys {
            let want: Vec<_> =
                self.events.iter().filter(|(of, _)| of == key).map(|(_, stored)| stored.clone()).collect();
            let after = kept.0.get(key).map_or(u64::MAX - 1, |first| first.0 - 1);
            assert_eq!(self.read(text, after), want, "{text}");
        }
        let (mut scanned, _) = self.scan(0, ALL);
        let key_of = |event: &Event| self.keys[event.new.topic.as_str()];
        let is_kept = |event: &Event| kept.0.get(&key_of(event)).is_some_and(|first| event.seq >= *first);
        scanned.retain(|stored| is_kept(&stored.event));
        assert!(scanned.iter().eq(self.events.iter().map(|(_, stored)| stored)));
    }
}

fn small(dir: &Path) -> SledConfig {
    SledConfig { rotate_bytes: 64 << 10, max_open_segments: 3, ..config(dir) }
}

#[test]
fn a_quiet_topic_beside_churning_ones_pins_no_disk() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(small(dir.path()));
    let mut kept = KeptFrom::default();
    let data = "x".repeat(2000);
    let (mut disk, mut count) = (Vec::new(), Vec::new());
    for round in 0..24 {
        for n in 0..16 {
            bench.publish(&[("churn/a", &data), ("churn/b", &data), ("churn/a", &data), ("churn/b", &data)]);
            if n == 8 {
                bench.publish(&[("quiet", &format!("never expires {round}"))]);
            }
        }
        bench.keep(&mut kept, "churn/a", 10);
        bench.keep(&mut kept, "churn/b", 10);
        bench.keep(&mut kept, "quiet", usize::MAX);
        bench.wait_sealed();
        bench.store.reclaim(&kept).expect("reclaimed");
        bench.check_kept(&kept);
        disk.push(bench.store.disk_bytes());
        count.push(bench.segments());
    }
    assert_eq!(bench.read("quiet", 0).len(), 24);
    let (early, late) = (disk[4..10].iter().max(), disk[18..].iter().max());
    assert!(late.expect("measured") * 2 < early.expect("measured") * 3, "it does not grow: {disk:?}");
    assert!(count.iter().all(|count| *count <= 6), "{count:?}");
    let (bench, recovered) = bench.reopen(small(dir.path()));
    bench.check_kept(&kept);
    assert_eq!((recovered.lost, bench.store.losses()), (vec![], 0));
}

#[test]
fn dead_segments_are_removed_and_the_newest_event_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(SledConfig { rotate_bytes: 1, ..config(dir.path()) });
    for _ in 0..10 {
        bench.publish(&[("a", "x")]);
    }
    bench.wait_sealed();
    bench.store.reclaim(&KeptFrom::default()).expect("reclaimed");
    assert_eq!(bench.segments(), 1);
    assert_eq!(std::fs::read_dir(dir.path().join("seg")).expect("there").count(), 1);
    let (_, recovered) = bench.reopen(config(dir.path()));
    assert_eq!((recovered.head, recovered.next, recovered.lost), (Seq(10), Seq(11), vec![]));
}

/// Retention that goes on during a copy of 20 segments: it is asked about each of them once before.
#[derive(Default)]
struct Moving(AtomicU64);

impl Liveness for Moving {
    fn first_kept(&self, _: TopicKey) -> Option<Seq> {
        Some(if self.0.fetch_add(1, Ordering::Relaxed) < 25 { Seq(1) } else { Seq(50) })
    }
}

#[test]
fn a_copy_of_several_segments_has_no_hole_where_retention_moved_meanwhile() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(SledConfig { rotate_bytes: 1, ..config(dir.path()) });
    for _ in 0..20 {
        bench.publish(&[("a", "x"), ("a", "y"), ("a", "z")]);
    }
    let (bench, _) = bench.reopen(config(dir.path()));
    bench.wait_sealed();
    bench.store.reclaim(&Moving::default()).expect("reclaimed");
    assert!(bench.segments() < 20, "copied");
    let (bench, recovered) = bench.reopen(config(dir.path()));
    assert_eq!(recovered.lost, []);
    let events = bench.read("a", 0);
    assert!(events.windows(2).all(|pair| pair[1].prev == pair[0].event.seq), "a hole");
    assert_eq!(events.last().expect("kept").event.seq, Seq(60));
}

#[test]
fn a_dead_segment_that_was_left_behind_does_not_come_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(SledConfig { rotate_bytes: 1, ..config(dir.path()) });
    for _ in 0..10 {
        bench.publish(&[("a", "x")]);
    }
    bench.wait_sealed();
    // Nothing can be renamed to a directory with contents, so these two cannot be removed.
    let segments: Vec<_> = bench.store.shared.segments.list().iter().take(2).map(|of| of.dir.clone()).collect();
    for segment in &segments {
        let mut incomplete = segment.clone().into_os_string();
        incomplete.push(super::super::segment::INCOMPLETE_SUFFIX);
        std::fs::create_dir_all(Path::new(&incomplete).join("contents")).expect("created");
    }
    bench.store.reclaim(&KeptFrom::default()).expect("reclaimed");
    assert!(segments.iter().all(|segment| segment.exists()), "left behind");
    let (bench, recovered) = bench.reopen(config(dir.path()));
    assert_eq!((bench.segments(), recovered.lost), (1, vec![]));
    assert!(!segments.iter().any(|segment| segment.exists()));
}

#[test]
fn many_small_survivors_become_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let one_each = SledConfig { rotate_bytes: 1, ..config(dir.path()) };
    let (mut bench, _) = Bench::with(one_each);
    for n in 0..20 {
        bench.publish(&[("a", "x"), (&format!("t/{n}"), "y")]);
    }
    let mut kept = KeptFrom::default();
    for topic in bench.keys.clone().into_keys() {
        bench.keep(&mut kept, &topic, usize::MAX);
    }
    let (bench, _) = bench.reopen(config(dir.path()));
    assert_eq!(bench.segments(), 20);
    bench.wait_sealed();
    bench.store.reclaim(&kept).expect("reclaimed");
    bench.check_kept(&kept);
    assert_eq!(bench.segments(), 2);
    let (bench, recovered) = bench.reopen(config(dir.path()));
    bench.check_kept(&kept);
    assert_eq!((recovered.head, bench.topics.len()), (Seq(40), 21));
}

#[test]
fn valid_idempotency_keys_outlive_their_events() {
    let dir = tempfile::tempdir().expect("a directory");
    let one_each = SledConfig { rotate_bytes: 1, ..config(dir.path()) };
    let (mut bench, _) = Bench::with(one_each);
    let mut commit = bench.build(vec![NewEvent::new(name("a"), "x"), NewEvent::new(name("b"), "y")]);
    let key = IdempotencyKey { key: [1; 16], fingerprint: [2; 16], owner: 7 };
    commit.keys.push(KeyRecord {
        key,
        time: commit.time,
        receipts: StoredReceipts::new(Seq(1), [&name("a")].into_iter()),
    });
    bench.commit(&commit);
    for _ in 0..3 {
        bench.publish(&[("b", "z")]);
        bench.wait_sealed();
        bench.store.reclaim(&KeptFrom::default()).expect("reclaimed");
    }
    let (bench, recovered) = bench.reopen(config(dir.path()));
    assert_eq!(recovered.keys, commit.keys);
    drop(bench);
    let (bench, recovered) = Bench::with(SledConfig { key_window: std::time::Duration::ZERO, ..config(dir.path()) });
    assert_eq!(recovered.keys, []);
    bench.store.reclaim(&KeptFrom::default()).expect("reclaimed");
    assert_eq!(bench.segments(), 1);
}

#[test]
fn readers_miss_nothing_while_space_is_reclaimed() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(small(dir.path()));
    bench.publish(&[("quiet", "first"), ("churn", "x")]);
    let (quiet, churn) = (bench.keys["quiet"], bench.keys["churn"]);
    let (bench_ref, done) = (parking_lot::Mutex::new(&mut bench), AtomicBool::new(false));
    let store = Arc::clone(&bench_ref.lock().store.shared);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut reads = 0;
                    while !done.load(Ordering::Relaxed) {
                        let head = store.head();
                        let events = store.topic_events((quiet, &name("quiet")), Seq(0), head, ALL).expect("read");
                        let chain = events.windows(2).all(|pair| pair[1].prev == pair[0].event.seq);
                        assert!(chain && events[0].event.seq == Seq(1), "a hole");
                        let wanted = |key| (key == quiet).then(|| name("quiet"));
                        let scan = store.scan(Seq(0), head, ALL, &mut { wanted }).expect("read");
                        assert_eq!(scan.events, events);
                        reads += 1;
                    }
                    reads
                })
            })
            .collect();
        let data = "x".repeat(3000);
        let mut bench = bench_ref.lock();
        for round in 0..12 {
            for _ in 0..30 {
                bench.publish(&[("churn", &data)]);
            }
            bench.publish(&[("quiet", &round.to_string())]);
            bench.wait_sealed();
            let kept = KeptFrom([(quiet, Seq(1)), (churn, Seq(bench.next))].into());
            bench.store.reclaim(&kept).expect("reclaimed");
        }
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(reader.join().expect("no hole") > 0);
        }
    });
}

#[test]
fn a_crash_between_copy_and_removal_leaves_one_of_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = dir.path().join("store");
    let one_each = SledConfig { rotate_bytes: 1, ..config(&store) };
    let (mut bench, _) = Bench::with(one_each);
    for n in 0..12 {
        bench.publish(&[("a", "x"), (&format!("t/{n}"), "y")]);
    }
    let mut kept = KeptFrom::default();
    for topic in bench.keys.clone().into_keys() {
        bench.keep(&mut kept, &topic, usize::MAX);
    }
    let (bench, _) = bench.reopen(config(&store));
    bench.wait_sealed();
    let before = dir.path().join("before");
    copy_dir(&store.join("seg"), &before);
    bench.store.reclaim(&kept).expect("reclaimed");
    let Bench { store: open, events, .. } = bench;
    drop(open);
    // Restore the sources, as after a crash before their removal, and add an incomplete copy.
    for entry in std::fs::read_dir(&before).expect("there") {
        let entry = entry.expect("there");
        let to = store.join("seg").join(entry.file_name());
        if !to.exists() {
            copy_dir(&entry.path(), &to);
        }
    }
    copy_dir(&before.join("00000000000000000001"), &store.join("seg/00000000000000000001-2.half"));
    let (bench, recovered) = Bench::open(&store);
    let bench = Bench { events, ..bench };
    bench.check_kept(&kept);
    assert_eq!((recovered.lost, bench.segments()), (vec![], 2));
    assert_eq!(std::fs::read_dir(store.join("seg")).expect("there").count(), 2);
}

#[test]
fn a_copy_that_cannot_get_its_name_now_loses_nothing_and_is_made_later() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(SledConfig { rotate_bytes: 1, ..config(dir.path()) });
    let mut kept = KeptFrom::default();
    for n in 0..12 {
        bench.publish(&[("a", "x"), (&format!("t/{n}"), "y")]);
    }
    for topic in bench.keys.clone().into_keys() {
        bench.keep(&mut kept, &topic, usize::MAX);
    }
    let (bench, _) = bench.reopen(config(dir.path()));
    bench.wait_sealed();
    let obstacle = dir.path().join("seg/00000000000000000001-1");
    std::fs::write(&obstacle, "a file in the copy's place").expect("written");
    let refused = bench.store.reclaim(&kept);
    assert!(matches!(refused, Err(StoreError::NotNow(_))), "{refused:?}");
    bench.check_kept(&kept);
    std::fs::remove_file(obstacle).expect("ours");
    bench.store.reclaim(&kept).expect("reclaimed");
    bench.check_kept(&kept);
    assert_eq!(bench.segments(), 2);
}

#[test]
fn a_deleted_topics_space_comes_back_before_its_segment_is_full() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::with(SledConfig { rotate_bytes: 64 << 20, ..config(dir.path()) });
    let mut kept = KeptFrom::default();
    let data = "x".repeat(500_000);
    for _ in 0..20 {
        bench.publish(&[("large", &data)]);
    }
    let before = bench.store.disk_bytes();
    bench.keep(&mut kept, "large", 0);
    bench.store.reclaim(&kept).expect("reclaimed");
    assert_eq!(bench.segments(), 1, "nothing is taken from the segment that takes commits");
    for text in ["after", "the", "deletion"] {
        bench.publish(&[("small", text)]);
    }
    bench.keep(&mut kept, "small", usize::MAX);
    bench.wait_sealed();
    bench.store.reclaim(&kept).expect("reclaimed");
    bench.check_kept(&kept);
    let after = bench.store.disk_bytes();
    assert!(after < before / 2, "{before} bytes before, {after} after");
}
