//! A check of a store: damage is told, a sound store is called sound, and nothing changes.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::super::check::{CheckError, FindingKind as Kind, StoreReport, check};
use super::damage::{files, intact_events, small, store};
use super::*;
use crate::progress::WorkProgress;

/// Everything about the files below `dir` that a write or a rename would change: contents, times, inodes.
fn snapshot(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, i64, i64, u64)> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let meta = std::fs::metadata(&dir).expect("there");
        found.insert(dir.clone(), (vec![], meta.mtime(), meta.mtime_nsec(), meta.ino()));
        for entry in std::fs::read_dir(&dir).expect("there") {
            let path = entry.expect("there").path();
            let meta = std::fs::metadata(&path).expect("there");
            if meta.is_dir() {
                dirs.push(path);
            } else {
                let bytes = std::fs::read(&path).expect("there");
                found.insert(path, (bytes, meta.mtime(), meta.mtime_nsec(), meta.ino()));
            }
        }
    }
    found
}

/// Checks the store in `dir`. Asserts that nothing in it has changed, and that no copy is left.
fn checked(dir: &Path) -> Result<StoreReport, CheckError> {
    let scratch = tempfile::tempdir().expect("a directory");
    let before = snapshot(dir);
    let report = check(dir, scratch.path(), &WorkProgress::default());
    assert!(before == snapshot(dir), "the check has changed the store");
    assert_eq!(std::fs::read_dir(scratch.path()).expect("there").count(), 0, "a copy is left");
    report
}

fn kinds(report: &StoreReport) -> Vec<Kind> {
    report.findings.iter().map(|finding| finding.kind).collect()
}

/// The ranges that are told as lost by findings of this kind.
fn lost(report: &StoreReport, kind: Kind) -> Vec<(Seq, Seq)> {
    report.findings.iter().filter(|found| found.kind == kind).flat_map(|found| found.lost.clone()).collect()
}

fn segments(dir: &Path) -> Vec<(u64, PathBuf)> {
    let entries = std::fs::read_dir(dir.join("seg")).expect("there").flatten();
    let first = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().parse().expect("a position");
    let mut found: Vec<(u64, PathBuf)> = entries.map(|entry| (first(&entry), entry.path())).collect();
    found.sort();
    found
}

#[test]
fn a_sound_store_is_called_sound_with_what_it_holds() {
    let dir = tempfile::tempdir().expect("a directory");
    let (events, _) = store(dir.path());
    let report = checked(dir.path()).expect("checked");
    assert_eq!((kinds(&report), report.verdict.exit_code()), (vec![], 0), "{report}");
    let bytes: usize = events.iter().map(|(_, stored)| stored.event.new.payload_bytes()).sum();
    assert_eq!((report.events, report.bytes, report.topics), (180, bytes as u64, 2));
    assert_eq!((report.newest, report.segments), (180, segments(dir.path()).len()));
    assert!(report.segments > 3 && report.clean == Some(true) && report.format == Some(3));
}

#[test]
fn stores_of_older_formats_are_sound() {
    for (format, events) in [("0001", 9), ("0002", 9), ("0003", 13)] {
        let dir = tempfile::tempdir().expect("a directory");
        copy_dir(&Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/fixtures").join(format), dir.path());
        let report = checked(dir.path()).expect("checked");
        assert_eq!((report.verdict.exit_code(), report.events, report.newest), (0, events, events), "{report}");
        assert_eq!(kinds(&report).contains(&Kind::OlderFormat), format != "0003", "{report}");
    }
}

/// A flipped byte may be where sled keeps nothing, so the store itself is asked whether an event is lost.
#[test]
fn whatever_byte_is_flipped_a_store_that_has_lost_events_is_called_damaged() {
    let dir = tempfile::tempdir().expect("a directory");
    let (sound, copy) = (dir.path().join("sound"), dir.path().join("copy"));
    let (events, keys) = store(&sound);
    let mut random =
        fastrand::Rng::with_seed(std::env::var("GAPLESS_TEST_SEED").map_or(12, |seed| seed.parse().expect("a number")));
    let (mut tried, mut harmed) = (0, 0);
    for file in files(&sound) {
        let relative = file.strip_prefix(&sound).expect("below").to_owned();
        let len = usize::try_from(file.metadata().expect("there").len()).expect("small");
        // `opened` of sled and the lock hold nothing that is checked.
        if len == 0 {
            continue;
        }
        for round in 0..if relative.ends_with("db") { 2 } else { 1 } {
            let at = random.usize(0..len);
            let what = format!("{} of {len} bytes, round {round} at {at}", relative.display());
            let _ = std::fs::remove_dir_all(&copy);
            copy_dir(&sound, &copy);
            let mut bytes = std::fs::read(copy.join(&relative)).expect("there");
            if random.u8(0..4) == 0 {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 0x55;
            }
            std::fs::write(copy.join(&relative), bytes).expect("written");
            let report = match checked(&copy) {
                Ok(report) => report,
                Err(CheckError::NotChecked(_)) if what.starts_with("format") => continue,
                Err(error) => panic!("{what}: {error}"),
            };
            let own = ["segments", "format", "summary"].iter().any(|name| relative.ends_with(name));
            let intact = intact_events(&copy, &events, &keys, &what);
            tried += 1;
            harmed += u32::from(!intact);
            assert!(intact || report.verdict.exit_code() == 1, "{what}: events are lost: {report}");
            assert!(!own || report.verdict.exit_code() == 1, "{what}: {report}");
        }
    }
    assert!(tried > 30 && harmed > 3, "{harmed} of {tried} did harm");
}

#[test]
fn a_missing_and_an_empty_segment_are_told_with_the_ids_that_are_lost() {
    let dir = tempfile::tempdir().expect("a directory");
    let _ = store(dir.path());
    let found = segments(dir.path());
    std::fs::remove_dir_all(&found[1].1).expect("removed");
    std::fs::write(found[3].1.join("db"), b"").expect("written");
    let report = checked(dir.path()).expect("checked");
    let range = |at: usize| vec![(Seq(found[at].0), Seq(found[at + 1].0 - 1))];
    assert_eq!(lost(&report, Kind::SegmentMissing), range(1), "{report}");
    assert_eq!(lost(&report, Kind::SegmentDamaged), range(3), "{report}");
    assert_eq!((kinds(&report).len(), report.verdict.exit_code()), (2, 1), "{report}");

    // The hub comes to the same result, and after it the losses are known.
    let (bench, recovered) = Bench::with(small(dir.path()));
    assert_eq!(recovered.lost, [range(1), range(3)].concat());
    bench.store.close();
    let report = checked(dir.path()).expect("checked");
    assert_eq!(report.verdict.exit_code(), 0, "{report}");
    assert_eq!((lost(&report, Kind::KnownLoss), report.losses), ([range(1), range(3)].concat(), 2), "{report}");
    assert!(kinds(&report).contains(&Kind::Quarantined), "{report}");
}

#[test]
fn a_watermark_that_is_cut_damaged_or_missing_is_told_apart() {
    for (len, kind, code) in [
        (Some(8191), Kind::WatermarkCut, 1),
        (Some(4096), Kind::WatermarkCut, 1),
        (Some(4000), Kind::WatermarkDamaged, 1),
        (Some(0), Kind::WatermarkDamaged, 1),
        (None, Kind::WatermarkDamaged, 1),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut bench, _) = Bench::open(dir.path());
        bench.publish(&[("a", "x")]);
        bench.store.close();
        let path = dir.path().join("watermark");
        match len {
            Some(len) => std::fs::File::options().write(true).open(&path).and_then(|file| file.set_len(len)),
            None => std::fs::remove_file(&path),
        }
        .expect("changed");
        let report = checked(dir.path()).expect("checked");
        assert!(kinds(&report).contains(&kind) && report.verdict.exit_code() == code, "{len:?}: {report}");
        assert_eq!(report.epoch.is_none(), kind == Kind::WatermarkDamaged);
    }
}

#[test]
fn newest_events_that_sled_lost_are_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::open(dir.path());
    bench.publish(&[("a", "x"), ("a", "y")]);
    let early = dir.path().join("early");
    copy_dir(&dir.path().join("seg"), &early);
    bench.publish(&[("a", "z")]);
    bench.store.close();
    drop(bench);
    std::fs::remove_dir_all(dir.path().join("seg")).expect("removed");
    std::fs::rename(&early, dir.path().join("seg")).expect("moved");
    let report = checked(dir.path()).expect("checked");
    assert_eq!(lost(&report, Kind::NewestMissing), [(Seq(3), Seq(3))], "{report}");
}

#[test]
fn damaged_settings_lists_and_clocks_are_told() {
    let made = |hurt: &dyn Fn(&Path)| {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut bench, _) = Bench::open(dir.path());
        bench.publish(&[("a", "x")]);
        let own = TopicSettings { exists: true, metadata: Metadata::new(1, b"x").ok(), ..TopicSettings::default() };
        bench.store.save_settings(&[TopicRecord::new(name("a"), own.clone())]).expect("saved");
        bench.store.close();
        drop(bench);
        assert_eq!(checked(dir.path()).expect("checked").verdict.exit_code(), 0);
        hurt(dir.path());
        kinds(&checked(dir.path()).expect("checked"))
    };
    let flip = |path: &Path| {
        let mut bytes = std::fs::read(path).expect("there");
        for byte in bytes.iter_mut().take(4096) {
            *byte ^= 0x77;
        }
        std::fs::write(path, bytes).expect("written");
    };
    // The first makes sled open an empty database, the second makes it refuse.
    assert_eq!(made(&|dir| flip(&dir.join("meta/db"))), [Kind::SettingsMissing]);
    assert_eq!(made(&|dir| flip(&dir.join("meta/conf"))), [Kind::SettingsDamaged]);
    assert_eq!(made(&|dir| std::fs::remove_dir_all(dir.join("meta")).expect("removed")), [Kind::SettingsMissing]);
    assert_eq!(made(&|dir| flip(&dir.join("segments"))), [Kind::ListDamaged]);
    assert_eq!(made(&|dir| std::fs::remove_file(dir.join("segments")).expect("removed")), [Kind::ListDamaged]);
    assert_eq!(made(&|dir| std::fs::write(dir.join("removals"), b"x").expect("written")), [Kind::RemovalsDamaged]);
    assert_eq!(made(&|dir| std::fs::write(dir.join("clock"), b"leap x\n").expect("written")), [Kind::ClockDamaged]);
    assert_eq!(made(&|dir| std::fs::write(dir.join("clock"), [0xff; 9]).expect("written")), [Kind::ClockDamaged]);
    assert_eq!(made(&|dir| std::fs::write(dir.join("format"), b"x").expect("written")), [Kind::FormatDamaged]);
    assert_eq!(made(&|dir| std::fs::remove_file(dir.join("format")).expect("removed")), [Kind::FormatMissing]);
    assert_eq!(made(&|dir| std::fs::write(dir.join("notes.txt"), b"x").expect("written")), [Kind::UnknownFile]);
    assert_eq!(made(&|dir| std::fs::write(dir.join("clock.half"), b"x").expect("written")), [Kind::Leftover]);
}

#[test]
fn what_a_crash_left_is_no_damage() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bench, _) = Bench::open(dir.path());
    bench.publish(&[("a", "1"), ("a", "2")]);
    let made = super::super::segment::dir_name(Seq(2), 0);
    drop(super::super::tables::Tables::open(&dir.path().join("seg").join(made), 1 << 20).expect("made"));
    bench.publish(&[("a", "3")]);
    std::fs::create_dir(dir.path().join("seg/00000000000000000001-1.half")).expect("made");
    // As after kill -9: the files as they are while the store is open.
    let killed = dir.path().join("killed");
    for entry in ["format", "watermark", "segments"] {
        std::fs::create_dir_all(&killed).expect("made");
        std::fs::copy(dir.path().join(entry), killed.join(entry)).expect("copied");
    }
    for entry in ["meta", "seg"] {
        copy_dir(&dir.path().join(entry), &killed.join(entry));
    }
    let report = checked(&killed).expect("checked");
    assert_eq!((report.verdict.exit_code(), report.events, report.newest), (0, 3, 3), "{report}");
    assert_eq!(kinds(&report).iter().filter(|kind| **kind == Kind::Leftover).count(), 2, "{report}");
    assert!(kinds(&report).contains(&Kind::NotClosed), "{report}");
}

#[test]
fn a_removed_event_is_no_damage() {
    let dir = tempfile::tempdir().expect("a directory");
    let later = SledConfig { scrub_after: std::time::Duration::from_hours(1), ..small(dir.path()) };
    let (mut bench, _) = Bench::with(later);
    for n in 0..60_usize {
        bench.publish(&[("a", &"a".repeat(n * 31 % 1500)), ("b", &"c".repeat(900))]);
    }
    bench.wait_sealed();
    bench.store.remove((bench.keys["a"], &name("a")), Seq(3)).expect("removed");
    bench.store.close();
    let report = checked(dir.path()).expect("checked");
    assert_eq!((kinds(&report), report.events), (vec![Kind::Unscrubbed], 120), "{report}");
}

#[test]
fn a_directory_that_is_no_store_or_is_in_use_or_is_newer_is_not_checked() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("notes.txt"), b"mine").expect("written");
    let foreign = checked(dir.path()).expect_err("foreign");
    assert!(foreign.to_string().contains("not a store") && foreign.exit_code() == 3, "{foreign}");
    std::fs::write(dir.path().join("format"), b"PNG").expect("written");
    assert_eq!(checked(dir.path()).expect_err("foreign").exit_code(), 3);
    std::fs::write(dir.path().join("format"), b"gapless store\nformat 99\n").expect("written");
    let newer = checked(dir.path()).expect_err("newer");
    assert!(newer.to_string().contains("format 99") && newer.exit_code() == 3, "{newer}");
    assert_eq!(check(&dir.path().join("none"), dir.path(), &WorkProgress::default()).expect_err("none").exit_code(), 3);

    let used = tempfile::tempdir().expect("a directory");
    let (bench, _) = Bench::open(used.path());
    let error = checked(used.path()).expect_err("in use");
    assert!(error.to_string().contains("a hub is using the store") && error.exit_code() == 75, "{error}");
    bench.store.close();
    assert_eq!(checked(used.path()).expect("checked").verdict.exit_code(), 0);
    // Without the lock, as in some backups.
    std::fs::remove_file(used.path().join("lock")).expect("removed");
    assert_eq!(checked(used.path()).expect("checked").verdict.exit_code(), 0);
}

/// A refused system call is no sign of damage.
#[test]
fn what_the_system_refuses_is_not_called_damaged() {
    let dir = tempfile::tempdir().expect("a directory");
    let _ = store(dir.path());
    let database = segments(dir.path())[1].1.join("db");
    std::fs::remove_file(&database).expect("removed");
    std::os::unix::fs::symlink("loop", &database).expect("linked");
    std::os::unix::fs::symlink("db", database.with_file_name("loop")).expect("linked");
    let scratch = tempfile::tempdir().expect("a directory");
    let report = check(dir.path(), scratch.path(), &WorkProgress::default()).expect("checked");
    assert_eq!((kinds(&report), report.verdict.exit_code()), (vec![Kind::Unreadable], 3), "{report}");
}
