//! `gapless verify` finds a byte that was flipped anywhere.

use std::{fs, path::Path};

use super::{
    commands::{backup, files, publish_large, run, text, verify},
    support::hub::Hub,
};

/// Flips a bit of a byte of `file` while `check` runs.
fn flipped(file: &Path, at: usize, check: impl FnOnce()) {
    let whole = fs::read(file).unwrap();
    let mut bytes = whole.clone();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
    check();
    fs::write(file, whole).unwrap();
}

#[test]
fn a_flipped_byte_in_any_file_of_a_backup_is_found_and_the_backups_are_named() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = Hub::start_on(data.path(), &["--store-rotate-bytes", "1MiB"]);
    publish_large(&hub, "a", 40);
    let first = backup(&hub, dir.path());
    hub.publish("a", "more");
    backup(&hub, dir.path());
    assert_eq!(verify(dir.path()).0, 0);
    let all: Vec<_> = files(dir.path()).into_iter().filter(|file| file.file_name().unwrap() != "lock").collect();
    assert!(all.len() > 6, "{all:?}");
    for file in &all {
        let bytes = usize::try_from(file.metadata().unwrap().len()).unwrap();
        for at in [0, bytes / 2, bytes - 1] {
            flipped(file, at, || {
                let (code, found) = verify(dir.path());
                assert_eq!((code, &found["verdict"]), (1, &"damaged".into()), "{file:?} {at}: {found}");
            });
        }
    }
    // One that is missing, cut short or longer.
    for file in all.iter().filter(|file| file.extension().is_some()) {
        let whole = fs::read(file).unwrap();
        for bytes in [None, Some(whole[..whole.len() - 1].to_vec()), Some([&whole[..], b"\n"].concat())] {
            match bytes {
                None if file.extension().unwrap() == "json" => continue, // it is the backup itself
                None => fs::remove_file(file).unwrap(),
                Some(bytes) => fs::write(file, bytes).unwrap(),
            }
            let (code, found) = verify(dir.path());
            assert_eq!(code, 1, "{file:?}: {found}");
            fs::write(file, &whole).unwrap();
        }
    }
    // What it affects is told, and the other backup is not condemned with it.
    let list = dir.path().join(format!("backups/{}.json", first["name"].as_str().unwrap()));
    flipped(&list, 10, || {
        let (_, found) = verify(dir.path());
        assert_eq!(found["findings"][0]["backups"], serde_json::json!([first["name"]]));
        assert_eq!(found["backups"][0]["sound"], true, "{found}");
    });
    // A restore does not use it either, and leaves no store.
    let part = super::commands::parts(dir.path(), &first["name"]).remove(0);
    flipped(&part, 20_000, || {
        let restored = dir.path().join("restored");
        let (code, _, err) = run(&["restore", "--from", text(dir.path()), "--data", text(&restored)]);
        assert!(code == 1 && err.contains("damaged"), "{code} {err}");
        assert!(!restored.join("format").exists());
        let (code, err) = Hub::refused(&["--listen", "127.0.0.1:0", "--data", text(&restored)]);
        assert!(code == Some(1) && err.contains("gapless restore"), "{err}");
    });
    assert_eq!(verify(dir.path()).0, 0);
}

#[test]
fn a_flipped_byte_of_an_archive_is_found() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = Hub::start_on(data.path(), &[]);
    publish_large(&hub, "a", 20);
    let archive = dir.path().join("hub.tar.zst");
    backup(&hub, &archive);
    let bytes = usize::try_from(archive.metadata().unwrap().len()).unwrap();
    for at in (0..bytes).step_by(bytes / 12).chain([bytes - 1]) {
        flipped(&archive, at, || {
            let (code, found) = verify(&archive);
            assert_eq!(code, 1, "byte {at} of {bytes}: {found}");
        });
    }
    fs::write(&archive, &fs::read(&archive).unwrap()[..bytes / 2]).unwrap();
    assert_eq!(verify(&archive).0, 1, "cut short");
    let (code, _, err) = run(&["verify", text(data.path())]);
    assert!(code == 3 && err.contains("no backup"), "{err}");
}
