//! Backups of an open store, and stores restored from them.

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::removing::All;
use super::*;
use crate::engine::log::store::Liveness;
use crate::engine::sled::{PartCheck, RestoreError, StoreRestorer};
use crate::engine::{BackupItem, BackupRequest, PartDigest, PartFacts, PartKind};

const SECRET: &str = "swordfish-4711-swordfish";

/// A backup as its receiver has it.
#[derive(Default)]
pub(super) struct Received {
    parts: BTreeMap<u64, ReceivedPart>,
    kept: Vec<PartFacts>,
    /// Parts that were void, whole or begun.
    void: usize,
    pub(super) format: u64,
    head: u64,
}

pub(super) struct ReceivedPart {
    pub(super) facts: PartFacts,
    pub(super) records: Vec<Bytes>,
    pub(super) end: Option<(u64, u64)>,
}

impl Received {
    fn take(&mut self, item: &BackupItem) {
        match item {
            BackupItem::Begin { head, format, .. } => (self.head, self.format) = (head.seq.0, *format),
            BackupItem::Kept(facts) => self.kept.push(*facts),
            BackupItem::Part(facts) => {
                self.parts.insert(facts.number, ReceivedPart { facts: *facts, records: Vec::new(), end: None });
            }
            BackupItem::Records(records) => {
                self.parts.values_mut().next_back().expect("begun").records.push(records.clone());
            }
            BackupItem::PartEnd { records, events } => {
                self.parts.values_mut().next_back().expect("begun").end = Some((*records, *events));
            }
            BackupItem::PartVoid => {
                drop(self.parts.pop_last());
                self.void += 1;
            }
            BackupItem::Void(number) => {
                self.parts.remove(number).expect("sent");
                self.void += 1;
            }
            BackupItem::End(parts) => assert_eq!(*parts, (self.parts.len() + self.kept.len()) as u64),
        }
    }

    fn digests(&self) -> HashSet<PartDigest> {
        self.parts.values().filter_map(|part| part.facts.digest).collect()
    }

    fn holds(&self, text: &str) -> bool {
        let holds = |records: &Bytes| records.windows(text.len()).any(|part| part == text.as_bytes());
        self.parts.values().any(|part| part.records.iter().any(holds))
    }

    /// The parts in the order of their positions, the state last.
    pub(super) fn sorted(&self) -> Vec<&ReceivedPart> {
        let mut parts: Vec<_> = self.parts.values().collect();
        parts.sort_by_key(|part| (part.facts.kind == PartKind::State, part.facts.after));
        parts
    }

    fn check(&self) {
        for part in self.parts.values() {
            let mut check = PartCheck::new(part.facts);
            part.records.iter().for_each(|records| check.records(records).expect("sound"));
            let (records, events) = part.end.expect("complete");
            check.finish(records, events).expect("whole");
        }
    }

    pub(super) fn restore(&self, dir: &Path) -> Result<crate::engine::sled::RestoredStore, RestoreError> {
        let mut restorer = StoreRestorer::begin(dir, self.format)?;
        for part in self.sorted() {
            restorer.part(part.facts, |write| {
                part.records.iter().try_for_each(write)?;
                Ok::<_, RestoreError>(part.end.expect("complete"))
            })?;
        }
        restorer.finish()
    }
}

fn backup_with(
    store: &SledStore,
    have: HashSet<PartDigest>,
    live: &dyn Liveness,
    mut on: impl FnMut(&BackupItem),
) -> Result<Received, StoreError> {
    let mut received = Received::default();
    let mut send = |item: BackupItem| {
        on(&item);
        received.take(&item);
        ControlFlow::Continue(())
    };
    store.backup(&BackupRequest { have }, live, &mut send)?;
    received.check();
    Ok(received)
}

pub(super) fn backup(bench: &Bench) -> Received {
    backup_with(&bench.store, HashSet::new(), &All, |_| {}).expect("possible")
}

/// A store of `segments` segments, all but the last sealed.
pub(super) fn bench(dir: &Path, segments: usize) -> Bench {
    let (mut bench, _) = Bench::with(SledConfig { scrub_after: std::time::Duration::ZERO, ..config(dir) });
    for segment in 0..segments {
        bench.publish(&[("a", "one"), ("b", "two"), ("a", "three")]);
        bench.publish(&[("a", &"large".repeat(20_000)), (&format!("c/{segment}"), "four")]);
        if segment + 1 < segments {
            bench.store.shared.rotate_soon.store(true, Ordering::Relaxed);
        }
    }
    bench.wait_sealed();
    bench
}

pub(super) fn bench_of_two(dir: &Path) -> Bench {
    bench(dir, 2)
}

/// Opens the store in `dir`, which was restored with the events of `bench`.
pub(super) fn restored(bench: Bench, dir: &Path) -> (Bench, Recovered) {
    let (restored, recovered) = Bench::with(config(dir));
    (Bench { events: bench.events, ..restored }, recovered)
}

pub(super) fn restored_dir() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    (dir, data)
}

#[test]
fn a_restored_store_has_every_event_key_and_setting_and_gives_out_no_id_again() {
    let (dir, (_keep, data)) = (tempfile::tempdir().expect("a directory"), restored_dir());
    let mut bench = bench(dir.path(), 3);
    let binary = Data::binary(vec![0xFF; 9000].into());
    let metadata = Metadata::new(1, b"\0\xFF").expect("short");
    let mut keyed = bench.build(vec![
        NewEvent { close: true, ..NewEvent::new(name("closed"), "last") },
        NewEvent { metadata: Some(metadata.clone()), ..NewEvent::new(name("b"), binary) },
        NewEvent { metadata: Some(metadata), ..NewEvent::new(name("b"), "text") },
        NewEvent::new(name("b"), Data::binary("small".into())),
    ]);
    let receipts = StoredReceipts::new(keyed.events[0].1.event.seq, [&name("closed")].into_iter());
    let key = IdempotencyKey { key: [1; 16], fingerprint: [2; 16], owner: 7 };
    keyed.keys.push(KeyRecord { key, time: keyed.time, receipts });
    bench.commit(&keyed);
    let metadata = Metadata::new(3, b"kept").ok();
    let settings = TopicSettings { exists: true, max_events: Some(Some(9)), metadata, ..TopicSettings::default() };
    let deleted = TopicSettings { deleted_through: Some(Seq(2)), ..TopicSettings::default() };
    let records = [("set", &settings), ("gone", &deleted)].map(|(of, s)| TopicRecord::new(name(of), s.clone()));
    bench.store.save_settings(&records).expect("saved");
    let epoch = bench.store.shared.watermark.lock().state.epoch;
    let made = backup(&bench);
    assert_eq!((made.head, made.parts.len()), (bench.next - 1, 4));
    let head = Seq(made.head);
    let store = made.restore(&data).expect("restored");
    assert_eq!((store.head, store.events), (head, bench.events.len() as u64));
    let (bench, recovered) = restored(bench, &data);
    bench.check_all();
    assert_eq!((recovered.epoch, recovered.head, recovered.next), (epoch, head, store.next));
    assert!(recovered.next.0 > head.0 + (1 << 40), "far ahead");
    let range = (head.next(), Seq(recovered.next.0 - 1));
    assert_eq!((recovered.lost, recovered.undone), (vec![range], vec![range]));
    assert_eq!(recovered.settings, [(name("set"), settings)]);
    assert_eq!((recovered.newest_mark, bench.store.mark(&name("gone"))), (Seq(2), Some(Seq(2))));
    assert_eq!(recovered.keys, keyed.keys);
    assert!(bench.topics["closed"].last_closes);
    // Again: a backup of the restored store has both ranges, and a clean reopening finds the same.
    let (bench, again) = bench.reopen(config(&data));
    assert_eq!((again.undone, again.next), (vec![range], recovered.next));
    let (_keep, data) = restored_dir();
    let made = backup(&bench);
    let store = made.restore(&data).expect("restored");
    let (bench, twice) = restored(bench, &data);
    bench.check_all();
    assert!(twice.next >= store.next && twice.next.0 > recovered.next.0 + (1 << 39));
    assert_eq!(twice.undone.len(), 2);
}

#[test]
fn an_empty_store_and_one_whose_events_are_all_dead_are_restored() {
    let (dir, (_keep, data)) = (tempfile::tempdir().expect("a directory"), restored_dir());
    let (bench, _) = Bench::open(dir.path());
    backup(&bench).restore(&data).expect("restored");
    let (_, recovered) = Bench::open(&data);
    assert_eq!((recovered.head, recovered.lost.len()), (Seq(0), 1));
    drop(bench);
    let (dir, (_keep, data)) = (tempfile::tempdir().expect("a directory"), restored_dir());
    let bench = bench_of_two(dir.path());
    let made = backup_with(&bench.store, HashSet::new(), &Dead, |_| {}).expect("possible");
    assert!(!made.holds("large"));
    made.restore(&data).expect("restored");
    let (restored, recovered) = Bench::open(&data);
    assert_eq!((recovered.head.0, recovered.lost.len(), restored.topics.len()), (made.head, 1, 0));
    assert_eq!(restored.store.losses(), 1, "nothing but the positions after the backup");
}

/// Keeps nothing.
struct Dead;

impl Liveness for Dead {
    fn first_kept(&self, _: TopicKey) -> Option<Seq> {
        None
    }
}

/// Keeps topic `key` from a position on.
struct Since(TopicKey, Seq);

impl Liveness for Since {
    fn first_kept(&self, key: TopicKey) -> Option<Seq> {
        Some(if key == self.0 { self.1 } else { Seq(1) })
    }
}

#[test]
fn only_what_has_changed_is_sent_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let bench = bench(dir.path(), 4);
    let first = backup(&bench);
    let have = first.digests();
    assert_eq!(have.len(), 3, "of the sealed segments");
    let second = backup_with(&bench.store, have.clone(), &All, |_| {}).expect("possible");
    assert_eq!((second.kept.len(), second.parts.len()), (3, 2));
    // An event that is removed: at once, and when its segment was rewritten.
    let (key, seq) = (bench.keys["a"], Seq(3));
    let removed = bench.store.remove((key, &name("a")), seq).expect("possible");
    assert!(matches!(removed, crate::engine::log::store::RemoveOutcome::Removed(5)));
    for _ in 0..2 {
        let third = backup_with(&bench.store, have.clone(), &All, |_| {}).expect("possible");
        assert_eq!((third.kept.len(), third.parts.len()), (2, 3));
        bench.store.clear_pending_removal(key, seq);
        bench.store.reclaim(&All).expect("reclaimed");
    }
    // Events that are trimmed are in the same part, as in the segment, until that is rewritten.
    let trimmed = Since(key, Seq(8));
    let fourth = backup_with(&bench.store, have.clone(), &trimmed, |_| {}).expect("possible");
    assert_eq!((fourth.kept.len(), fourth.parts.len()), (2, 3));
    let whole = backup_with(&bench.store, HashSet::new(), &trimmed, |_| {}).expect("possible");
    assert_eq!(whole.digests().len(), 3);
    let (_keep, data) = restored_dir();
    let head = whole.restore(&data).expect("restored").head;
    assert_eq!(head, Seq(bench.next - 1));
    let (bench, _) = restored(bench, &data);
    assert_eq!(bench.read("a", 0).len(), 12, "what is trimmed is there until its space is reclaimed");
    // A store that was restored is another one: its segments begin with generation 0 again.
    let later = backup_with(&bench.store, &have | &whole.digests(), &All, |_| {}).expect("possible");
    assert_eq!(later.kept.len(), 0, "removed events may be in parts of the store's last life");
    let again = backup_with(&bench.store, later.digests(), &All, |_| {}).expect("possible");
    assert_eq!(again.kept.len(), later.digests().len());
}

#[test]
fn an_event_removed_before_or_while_a_backup_is_made_is_not_in_it() {
    for when in [0, 2] {
        let (dir, (_keep, data)) = (tempfile::tempdir().expect("a directory"), restored_dir());
        let mut bench = bench(dir.path(), 3);
        bench.publish(&[("a", &format!("{SECRET} {}", "y".repeat(30_000))), ("b", "after")]);
        let (key, seq) = (bench.keys["a"], bench.events[bench.events.len() - 2].1.event.seq);
        bench.store.shared.rotate_soon.store(true, Ordering::Relaxed);
        bench.publish(&[("b", "last")]);
        bench.wait_sealed();
        let store = &bench.store;
        let remove = || drop(store.remove((key, &name("a")), seq).expect("possible"));
        if when == 0 {
            remove();
        }
        let ends = Cell::new(0);
        let made = backup_with(store, HashSet::new(), &All, |item| {
            if matches!(item, BackupItem::PartEnd { .. }) {
                ends.set(ends.get() + 1);
                // Of the last segment: the one with the event has been sent.
                if when > 0 && ends.get() == 4 {
                    remove();
                }
            }
        });
        let made = made.expect("possible");
        assert_eq!((made.void, made.holds(SECRET)), (usize::from(when > 0), false), "{when}");
        made.restore(&data).expect("restored");
        let at = bench.events.len() - 3;
        bench.events[at].1 = bench.events[at].1.tombstone();
        let (bench, recovered) = restored(bench, &data);
        bench.check_all();
        assert_eq!(recovered.pending_removals, [(key, seq)], "its readers may not have been told");
    }
}

#[test]
fn a_segment_that_is_rewritten_or_dropped_while_it_is_read_is_read_in_its_new_form() {
    let (dir, (_keep, data)) = (tempfile::tempdir().expect("a directory"), restored_dir());
    let mut bench = bench(dir.path(), 3);
    let (key, seq) = (bench.keys["a"], Seq(3));
    let (store, done) = (&bench.store, Cell::new(false));
    let made = backup_with(store, HashSet::new(), &All, |item| {
        if matches!(item, BackupItem::Records(_)) && !done.replace(true) {
            store.remove((key, &name("a")), seq).expect("possible");
            store.reclaim(&All).expect("rewritten");
            assert_eq!(store.unscrubbed(), 0);
        }
    });
    let made = made.expect("possible");
    assert_eq!(made.void, 2, "as it was begun, and because an event was removed since");
    made.restore(&data).expect("restored");
    bench.events[2].1 = bench.events[2].1.tombstone();
    let (bench, _) = restored(bench, &data);
    bench.check_all();
}

#[test]
fn what_is_committed_while_a_backup_is_made_is_not_in_it_and_loses_nothing() {
    let (dir, (_keep, data)) = (tempfile::tempdir().expect("a directory"), restored_dir());
    let mut bench = bench(dir.path(), 2);
    let later: Vec<Commit> =
        (0..20).map(|n| bench.build(vec![NewEvent::new(name("a"), format!("late {n}"))])).collect();
    let (store, at) = (&bench.store, Cell::new(0));
    let made = backup_with(store, HashSet::new(), &All, |_| {
        if let Some(commit) = later.get(at.get()) {
            store.commit(commit).expect("accepted");
            at.set(at.get() + 1);
            if at.get() == 5 {
                store.shared.rotate_soon.store(true, Ordering::Relaxed);
            }
        }
    });
    let made = made.expect("possible");
    assert!(at.get() > 8 && !made.holds("late"), "{}", at.get());
    made.restore(&data).expect("restored");
    let (bench, recovered) = restored(bench, &data);
    bench.check_all();
    assert_eq!(recovered.head.0, made.head);
}

#[test]
fn a_finished_segment_that_is_not_sealed_yet_does_not_hide_the_one_after_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut bench = bench(dir.path(), 2);
    for attempt in 0.. {
        assert!(attempt < 100, "it is always sealed first");
        bench.store.shared.rotate_soon.store(true, Ordering::Relaxed);
        bench.publish(&[("a", "in the last segment")]);
        let list = bench.store.shared.segments.list();
        // It is not sealed while its tally is looked at.
        let made = list[list.len() - 2].with_tally(|_| backup(&bench));
        if let Some(made) = made {
            assert!(made.holds("in the last segment"));
            let (_keep, data) = restored_dir();
            made.restore(&data).expect("restored");
            restored(bench, &data).0.check_all();
            return;
        }
    }
}

#[test]
fn a_store_that_is_closed_meanwhile_gives_no_backup() {
    let dir = tempfile::tempdir().expect("a directory");
    let bench = bench(dir.path(), 3);
    let items = Cell::new(0);
    let store = &bench.store;
    let ended = backup_with(store, HashSet::new(), &All, |_| {
        items.set(items.get() + 1);
        if items.get() == 3 {
            store.close();
        }
    });
    assert!(ended.is_err(), "it is not taken for a whole one");
    assert!(backup_with(store, HashSet::new(), &All, |_| {}).is_err());
}
