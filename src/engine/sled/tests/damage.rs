//! A damaged disk: the store opens, reports the lost ranges, and keeps the damaged files.

use super::*;

/// The events of a store, and the keys of its topics.
pub(super) type Published = (Vec<(TopicKey, StoredEvent)>, HashMap<String, TopicKey>);

/// Creates a small store with sealed segments and closes it.
pub(super) fn store(dir: &Path) -> Published {
    let (mut bench, _) = Bench::with(small(dir));
    for n in 0..60_usize {
        bench.publish(&[("a", &format!("{n} {}", "a".repeat(n * 31 % 1500))), ("b", "b"), ("b", &"c".repeat(900))]);
    }
    bench.wait_sealed();
    bench.store.close();
    (std::mem::take(&mut bench.events), std::mem::take(&mut bench.keys))
}

pub(super) fn small(dir: &Path) -> SledConfig {
    SledConfig { rotate_bytes: 32 << 10, ..config(dir) }
}

/// All files of the store below `dir`.
pub(super) fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("there") {
        let entry = entry.expect("there");
        if entry.file_type().expect("known").is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

/// Opens a damaged store and reads all of it. Asserts that missing events were reported. Returns whether none is
/// missing.
pub(super) fn intact_events(
    dir: &Path,
    events: &[(TopicKey, StoredEvent)],
    keys: &HashMap<String, TopicKey>,
    what: &str,
) -> bool {
    let opened = super::super::guard::guarded(|| SledStore::open(small(dir)));
    let store = match opened.unwrap_or_else(|panic| panic!("{what}: a panic: {panic}")) {
        Ok(store) => store,
        Err(OpenError::NotAStore { .. } | OpenError::Newer { .. }) if what.contains("format") => return true,
        Err(error) => panic!("{what}: {error}"),
    };
    let recovered = store.recovered(&mut drop);
    let names: HashMap<TopicKey, TopicName> = keys.iter().map(|(text, key)| (*key, name(text))).collect();
    let scan = store.scan(Seq(0), Seq(u64::MAX - 1), ALL, &mut |key| names.get(&key).cloned());
    let scanned = scan.unwrap_or_else(|error| panic!("{what}: {error}")).events;
    let mut by_topic = Vec::new();
    for (text, key) in keys {
        let read = store.topic_events((*key, &name(text)), Seq(0), Seq(u64::MAX - 1), ALL);
        by_topic.extend(read.unwrap_or_else(|error| panic!("{what}: {error}")));
    }
    by_topic.sort_by_key(|stored| stored.event.seq);
    let whole = |read: &[StoredEvent]| read.iter().eq(events.iter().map(|(_, stored)| stored));
    let intact = whole(&scanned) && whole(&by_topic);
    for read in [&scanned, &by_topic] {
        assert!(
            read.iter().all(|stored| events.iter().any(|(_, known)| known == stored)),
            "{what}: an event that was not published"
        );
    }
    assert!(intact || store.losses() > 0, "{what}: {} of {} events, in silence", scanned.len(), events.len());
    assert!(recovered.next.0 > events.len() as u64 || recovered.epoch.as_str() != "", "{what}");
    let next = recovered.next.0;
    let new = NewEvent::new(name("new"), "after");
    let event = Arc::new(Event { seq: Seq(next), time: Millis(recovered.last_time.0 + 1), new });
    let stored = StoredEvent { prev: Seq(0), event };
    let commit = Commit {
        events: vec![(TopicKey(next), stored)],
        states: vec![],
        origins: vec![],
        keys: vec![],
        time: recovered.last_time,
    };
    store.commit(&commit).unwrap_or_else(|error| panic!("{what}: {error}"));
    intact
}

#[test]
fn a_flipped_byte_or_a_cut_file_is_never_a_panic_and_never_silent() {
    let dir = tempfile::tempdir().expect("a directory");
    let sound = dir.path().join("sound");
    let (events, keys) = store(&sound);
    assert!(check_copy(&sound, &dir.path().join("copy"), &events, &keys, "untouched", |_| {}));
    let mut random =
        fastrand::Rng::with_seed(std::env::var("GAPLESS_TEST_SEED").map_or(11, |seed| seed.parse().expect("a number")));
    let (mut tried, mut noticed) = (0, 0);
    for file in files(&sound) {
        let relative = file.strip_prefix(&sound).expect("below").to_owned();
        let len = usize::try_from(file.metadata().expect("there").len()).expect("small");
        let rounds = if relative.ends_with("db") { 4 } else { 1 };
        for round in 0..rounds {
            let at = random.usize(0..len.max(1));
            let cut = round % 4 == 3;
            let what = format!("{} of {} bytes, {} at {at}", relative.display(), len, if cut { "cut" } else { "flip" });
            let intact = check_copy(&sound, &dir.path().join("copy"), &events, &keys, &what, |copy| {
                let path = copy.join(&relative);
                let mut bytes = std::fs::read(&path).expect("there");
                if cut {
                    bytes.truncate(at);
                } else if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 0x55;
                }
                std::fs::write(path, bytes).expect("written");
            });
            tried += 1;
            noticed += u32::from(!intact);
        }
    }
    assert!(tried > 30 && noticed > 3, "{noticed} of {tried} did harm");
}

fn check_copy(
    sound: &Path,
    copy: &Path,
    events: &[(TopicKey, StoredEvent)],
    keys: &HashMap<String, TopicKey>,
    what: &str,
    hurt: impl FnOnce(&Path),
) -> bool {
    let _ = std::fs::remove_dir_all(copy);
    copy_dir(sound, copy);
    hurt(copy);
    intact_events(copy, events, keys, what)
}

#[test]
fn an_unreadable_segment_is_quarantined_and_its_range_is_reported() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_, _) = store(dir.path());
    let mut segments: Vec<_> = std::fs::read_dir(dir.path().join("seg")).expect("there").flatten().collect();
    segments.sort_by_key(std::fs::DirEntry::file_name);
    let (hurt, after) = (segments[1].path(), segments[2].file_name());
    std::fs::remove_file(hurt.join("db")).expect("removed");
    let first: u64 = hurt.file_name().expect("named").to_string_lossy().parse().expect("a position");
    let next: u64 = after.to_string_lossy().parse().expect("a position");
    let (bench, recovered) = Bench::with(small(dir.path()));
    assert_eq!(recovered.lost, [(Seq(first), Seq(next - 1))]);
    assert_eq!(bench.store.losses(), 1);
    assert!(dir.path().join("quarantine").join(hurt.file_name().expect("named")).exists());
    let (events, _) = bench.scan(0, ALL);
    assert!(
        events.iter().all(|stored| !(first..next).contains(&stored.event.seq.0))
            && events.len() as u64 == 180 - (next - first)
    );
    let (bench, recovered) = bench.reopen(small(dir.path()));
    assert_eq!((recovered.lost.len(), bench.store.losses()), (1, 1), "remembered, and not reported again");
}

#[test]
fn newest_events_that_sled_lost_are_reported() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::open(dir.path());
    bench.publish(&[("a", "x"), ("a", "y")]);
    let early = dir.path().join("early");
    copy_dir(&dir.path().join("seg"), &early);
    bench.publish(&[("a", "z")]);
    bench.store.close();
    drop(bench);
    std::fs::remove_dir_all(dir.path().join("seg")).expect("removed");
    copy_dir(&early, &dir.path().join("seg"));
    let (bench, recovered) = Bench::open(dir.path());
    assert_eq!((recovered.head, recovered.lost), (Seq(2), vec![(Seq(3), Seq(3))]));
    assert!(recovered.next > Seq(3) && bench.store.losses() == 1);
    let (bench, recovered) = bench.reopen(config(dir.path()));
    assert!(recovered.next > Seq(3) && bench.store.losses() == 1);
}

#[test]
fn damaged_or_lost_settings_are_reported() {
    let dir = tempfile::tempdir().expect("a directory");
    // The first makes sled open an empty database, the second makes it refuse.
    for (file, quarantined) in [("db", false), ("conf", true)] {
        let dir = dir.path().join(file);
        let (mut bench, _) = Bench::open(&dir);
        bench.publish(&[("a", "x")]);
        let own = TopicSettings { exists: true, ..TopicSettings::default() };
        bench.store.save_settings(&[TopicRecord::new(name("a"), own.clone())]).expect("saved");
        bench.store.close();
        let hurt = dir.join("meta").join(file);
        let mut bytes = std::fs::read(&hurt).expect("there");
        for byte in bytes.iter_mut().take(4096) {
            *byte ^= 0x77;
        }
        std::fs::write(hurt, bytes).expect("written");
        let (bench, recovered) = bench.reopen(config(&dir));
        bench.check_all();
        assert!(recovered.settings.is_empty() && bench.store.losses() == 1, "{file}");
        assert_eq!(dir.join("quarantine/meta").exists(), quarantined, "{file}");
        let (bench, _) = bench.reopen(config(&dir));
        assert_eq!(bench.store.losses(), 1, "reported once");
    }
}

#[test]
fn a_snapshot_that_a_crash_left_incomplete_is_removed() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::open(dir.path());
    bench.publish(&[("a", "x")]);
    for half in ["meta", "seg/00000000000000000001"] {
        std::fs::write(dir.path().join(half).join("snap.0000000000000ABC.generating"), b"half").expect("written");
    }
    let (bench, recovered) = bench.reopen(config(dir.path()));
    bench.check_all();
    assert_eq!((recovered.lost, bench.store.losses()), (vec![], 0));
}

#[test]
fn without_its_watermark_a_store_begins_another_epoch() {
    let dir = tempfile::tempdir().expect("a directory");
    for damage in ["gone", "damaged"] {
        let dir = dir.path().join(damage);
        let (mut bench, first) = Bench::open(&dir);
        bench.publish(&[("a", "x")]);
        bench.store.close();
        match damage {
            "gone" => std::fs::remove_file(dir.join("watermark")).expect("removed"),
            _ => std::fs::write(dir.join("watermark"), [7; 8192]).expect("written"),
        }
        let (bench, recovered) = bench.reopen(config(&dir));
        bench.check_all();
        assert!(recovered.epoch != first.epoch && bench.store.losses() == 1, "{damage}");
    }
}

#[test]
fn a_missing_segment_is_reported_once_and_one_that_was_copied_is_not_missing() {
    let dir = tempfile::tempdir().expect("a directory");
    let _ = store(dir.path());
    let mut segments: Vec<_> = std::fs::read_dir(dir.path().join("seg")).expect("there").flatten().collect();
    segments.sort_by_key(std::fs::DirEntry::file_name);
    let first = |at: usize| segments[at].file_name().to_string_lossy().parse::<u64>().expect("a position");
    let range = (Seq(first(1)), Seq(first(2) - 1));
    // As after a crash between the renaming of a copy and the change of the list.
    std::fs::rename(segments[3].path(), dir.path().join("seg").join(format!("{:020}-1", first(3)))).expect("renamed");
    std::fs::remove_dir_all(segments[1].path()).expect("removed");
    let (bench, recovered) = Bench::with(small(dir.path()));
    assert_eq!((recovered.lost, bench.store.losses()), (vec![range], 1));
    let (bench, recovered) = bench.reopen(small(dir.path()));
    assert_eq!((recovered.lost, bench.store.losses()), (vec![range], 1), "remembered, and not reported again");
}

#[test]
fn without_its_list_of_segments_a_store_reports_a_loss() {
    let dir = tempfile::tempdir().expect("a directory");
    for damage in ["gone", "damaged"] {
        let dir = dir.path().join(damage);
        let (mut bench, _) = Bench::open(&dir);
        bench.publish(&[("a", "x")]);
        bench.store.close();
        match damage {
            "gone" => std::fs::remove_file(dir.join("segments")).expect("removed"),
            _ => std::fs::write(dir.join("segments"), [7; 30]).expect("written"),
        }
        for _ in 0..2 {
            let (again, recovered) = bench.reopen(config(&dir));
            again.check_all();
            assert_eq!((recovered.lost, again.store.losses()), (vec![], 1), "{damage}: once");
            bench = again;
        }
    }
}

#[test]
fn a_segment_that_a_crash_left_before_its_first_commit_is_no_damage() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::open(dir.path());
    bench.publish(&[("a", "1"), ("a", "2")]);
    // Created and not yet in the list; then commits continued in the old segment.
    let made = super::super::segment::dir_name(Seq(2), 0);
    drop(super::super::tables::Tables::open(&dir.path().join("seg").join(&made), 1 << 20).expect("made"));
    bench.publish(&[("a", "3")]);
    let (mut bench, recovered) = bench.reopen(config(dir.path()));
    assert_eq!((recovered.lost, bench.segments()), (vec![], 1));
    assert!(!dir.path().join("seg").join(made).exists());
    bench.publish(&[("a", "4")]);
    bench.check_all();
    assert_eq!(bench.store.losses(), 0);
}

/// A refused system call is no sign of damage.
#[test]
fn a_segment_that_cannot_be_read_now_is_not_quarantined() {
    let dir = tempfile::tempdir().expect("a directory");
    let (events, _) = store(dir.path());
    let mut segments: Vec<_> = std::fs::read_dir(dir.path().join("seg")).expect("there").flatten().collect();
    segments.sort_by_key(std::fs::DirEntry::file_name);
    // A symbolic link to itself: opening it fails with ELOOP, for root, too.
    let (database, kept) = (segments[1].path().join("db"), dir.path().join("kept"));
    std::fs::rename(&database, &kept).expect("moved");
    std::os::unix::fs::symlink(&database, &database).expect("linked");
    let refused = SledStore::open(small(dir.path())).expect_err("it cannot be read");
    assert!(matches!(refused, OpenError::Database { .. }), "{refused}");
    assert!(!dir.path().join("quarantine").exists());
    std::fs::rename(&kept, &database).expect("moved back");
    let (mut bench, recovered) = Bench::with(small(dir.path()));
    assert_eq!((recovered.lost, bench.store.losses()), (vec![], 0));

    // The same under a running store: the read fails with an error that passes.
    std::fs::rename(&database, &kept).expect("moved");
    std::os::unix::fs::symlink(&database, &database).expect("linked");
    let topic = (bench.keys["a"], &name("a"));
    let read = || bench.store.topic_events(topic, Seq(0), Seq(u64::MAX - 1), ALL);
    assert!(matches!(read(), Err(StoreError::NotNow(_))));
    std::fs::rename(&kept, &database).expect("moved back");
    assert_eq!(read().expect("read").len(), 60);
    assert_eq!(bench.store.losses(), 0);
    bench.events = events;
    bench.check_all();
}
