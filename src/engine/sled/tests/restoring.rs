//! Restores that are cut short, and whom a restored store belongs to.

use super::backups::{backup, bench, bench_of_two, restored, restored_dir};
use super::*;
use crate::engine::sled::{RestoreError, StoreRestorer};
use crate::progress::WorkProgress;

#[test]
fn a_restore_that_is_cut_short_leaves_no_store_and_is_begun_again() {
    let (dir, (_keep, data)) = (tempfile::tempdir().expect("a directory"), restored_dir());
    let bench = bench(dir.path(), 2);
    let made = backup(&bench);
    let mut restorer = StoreRestorer::begin(&data, made.format).expect("begun");
    let part = made.sorted()[0];
    let begun = restorer.part(part.facts, |write| {
        part.records.iter().try_for_each(write)?;
        Ok::<_, RestoreError>(part.end.expect("complete"))
    });
    begun.expect("written");
    assert!(matches!(StoreRestorer::begin(&data, made.format), Err(RestoreError::Open(OpenError::Locked { .. }))));
    drop(restorer);
    assert!(matches!(SledStore::open(config(&data)), Err(OpenError::Unrestored { .. })));
    made.restore(&data).expect("restored");
    assert!(matches!(made.restore(&data), Err(RestoreError::Occupied(_))));
    let (bench, _) = restored(bench, &data);
    bench.check_all();
    for format in [1, 4] {
        let refused = StoreRestorer::begin(&data.join("other"), format);
        assert!(matches!(refused, Err(RestoreError::Format(found)) if found == format));
    }
}

#[test]
fn a_backup_of_the_format_before_is_restored_as_a_store_of_this_one() {
    let (dir, (_keep, data)) = (tempfile::tempdir().expect("a directory"), restored_dir());
    let bench = bench(dir.path(), 2);
    let mut made = backup(&bench);
    made.format = 2;
    made.restore(&data).expect("restored");
    assert!(std::fs::read_to_string(data.join("format")).expect("there").ends_with("format 3\n"));
    let (bench, _) = restored(bench, &data);
    bench.check_all();
}

/// In the order in which a restore moves them.
const MOVED: [&str; 8] = ["seg", "meta", "restores", "removals", "clock", "segments", "watermark", "format"];

#[test]
fn a_restore_that_is_cut_short_between_any_two_of_its_moves_is_no_store() {
    let dir = tempfile::tempdir().expect("a directory");
    let bench = bench(dir.path(), 2);
    let made = backup(&bench);
    let begun = |moved: usize| {
        let (keep, data) = restored_dir();
        made.restore(&data).expect("restored");
        let work = data.join("restore.half");
        std::fs::create_dir(&work).expect("made");
        for part in MOVED.iter().skip(moved).filter(|part| data.join(part).exists()) {
            std::fs::rename(data.join(part), work.join(part)).expect("moved");
        }
        (keep, data)
    };
    let check = |data: &Path| {
        let scratch = tempfile::tempdir().expect("a directory");
        crate::engine::sled::check(data, scratch.path(), &WorkProgress::default())
    };
    for moved in 0..MOVED.len() {
        let (_keep, data) = begun(moved);
        assert!(check(&data).is_err_and(|error| error.to_string().contains("cut short")), "{moved}");
        assert!(matches!(SledStore::open(config(&data)), Err(OpenError::Unrestored { .. })), "{moved}");
        let is_begun_again = made.restore(&data).is_ok();
        assert!(is_begun_again && SledStore::open(config(&data)).is_ok(), "{moved}");
        // Somebody removes what the restore has left.
        let (_keep, data) = begun(moved);
        std::fs::remove_dir_all(data.join("restore.half")).expect("removed");
        let opened = SledStore::open(config(&data));
        assert!(matches!(&opened, Err(OpenError::Incomplete { .. })) || moved == 0, "{moved}: {opened:?}");
    }
    let (_keep, data) = begun(MOVED.len());
    assert!(check(&data).is_ok_and(|report| report.verdict.exit_code() == 0));
    assert!(matches!(made.restore(&data), Err(RestoreError::Complete(_))));
    assert!(matches!(made.restore(&data), Err(RestoreError::Occupied(_))), "it is tidied up");
    let (_keep, data) = begun(MOVED.len());
    let (bench, _) = restored(bench, &data);
    bench.check_all();
    assert!(!data.join("restore.half").exists());
}

#[test]
fn what_root_restores_has_the_owner_of_the_directory() {
    use std::os::unix::fs::{MetadataExt, chown};
    const USER: u32 = 12_345;
    let (dir, (_keep, data)) = (tempfile::tempdir().expect("a directory"), restored_dir());
    std::fs::create_dir(&data).expect("made");
    // Without root's rights nothing is given away.
    let is_root = chown(&data, Some(USER), Some(USER)).is_ok();
    backup(&bench_of_two(dir.path())).restore(&data).expect("restored");
    let mut dirs = vec![data.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).expect("there").map(|entry| entry.expect("there")) {
            let meta = entry.metadata().expect("there");
            assert_eq!(meta.uid() == USER && meta.gid() == USER, is_root, "{}", entry.path().display());
            dirs.extend(meta.is_dir().then(|| entry.path()));
        }
    }
}
