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

#[test]
fn a_damaged_list_is_told_by_every_backup_and_does_not_count() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = Hub::start_on(data.path(), &[]);
    let list = |made: &serde_json::Value| dir.path().join(format!("backups/{}.json", made["name"].as_str().unwrap()));
    let made: Vec<_> = (0..3)
        .map(|n| {
            hub.publish("t", &n.to_string());
            backup(&hub, dir.path())
        })
        .collect();
    let damaged = list(&made[1]);
    fs::write(&damaged, "damaged").unwrap();
    let url = hub.url();
    let again = ["backup", "--url", &url, "--json", "--to", text(dir.path()), "--keep", "2"];
    for removed in [1, 1] {
        hub.publish("t", "more");
        let (code, out, err) = run(&again);
        assert!(code == 0 && err.contains(text(&damaged)) && err.contains("remove"), "{code} {err}");
        let told: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert!(told["warnings"][0].as_str().unwrap().contains(text(&damaged)), "{told}");
        assert_eq!((&told["removed_backups"], &told["removed_bytes"]), (&removed.into(), &0.into()), "{told}");
        assert!(damaged.exists());
        let sound = verify(dir.path()).1["backups"].as_array().unwrap().len();
        assert_eq!(sound, 2, "the damaged one does not count");
    }
    fs::remove_file(&damaged).unwrap();
    let told = super::commands::backup_with(&hub, dir.path(), &["--keep", "2"]);
    assert_eq!((told["warnings"].as_array().unwrap().len(), &told["removed_backups"]), (0, &1.into()), "{told}");
    assert_eq!(verify(dir.path()).0, 0);
    assert!(files(&dir.path().join("parts")).len() <= 4, "the parts of all others are gone");
}

#[test]
fn two_lists_that_say_different_things_of_one_file_are_both_compared_with_it() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = Hub::start_on(data.path(), &[]);
    hub.publish("t", "event");
    let made = [backup(&hub, dir.path()), backup(&hub, dir.path())];
    let mut list = super::commands::list(dir.path(), &made[1]["name"]);
    let first = super::commands::list(dir.path(), &made[0]["name"]);
    // All parts of the first one, with another count of events; its checksum is right.
    list["parts"] = first["parts"].clone();
    list["parts"][0]["events"] = 7.into();
    let json = list.to_string();
    let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, json.as_bytes());
    let sum = sum.as_ref().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let path = dir.path().join(format!("backups/{}.json", made[1]["name"].as_str().unwrap()));
    fs::write(path, format!("{json}\n{sum}\n")).unwrap();
    let (code, found) = verify(dir.path());
    assert_eq!((code, &found["findings"][0]["backups"]), (1, &serde_json::json!([made[1]["name"]])), "{found}");
    assert_eq!((&found["backups"][0]["sound"], &found["backups"][1]["sound"]), (&true.into(), &false.into()));
}
