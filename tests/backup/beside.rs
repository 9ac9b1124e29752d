//! Backups are read while another one removes old ones.

use std::{
    fs::{self, File},
    thread,
};

use serde_json::Value;

use super::{
    commands::{backup, files, publish_large, run, text, verify},
    support::hub::Hub,
};

#[test]
fn nothing_is_removed_while_backups_are_read_and_that_is_told() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = Hub::start_on(data.path(), &[]);
    hub.publish("t", "event");
    backup(&hub, dir.path());
    let before = files(dir.path());
    // What a verify or a restore holds.
    let reader = File::open(dir.path().join("gapless-backup")).unwrap();
    reader.lock_shared().unwrap();
    let made = ["backup", "--url", &hub.url(), "--json", "--to", text(dir.path()), "--keep", "1"];
    let (code, out, err) = run(&made);
    assert!(code == 0 && err.contains("nothing was removed"), "{code} {err}");
    let told: Value = serde_json::from_str(&out).unwrap();
    assert!(told["warnings"][0].as_str().unwrap().contains("verify"), "{told}");
    assert!(before.iter().all(|file| file.exists()));
    drop(reader);
    let (code, out, err) = run(&made);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &*err, &told["removed_backups"]), (0, "", &2.into()));
    assert!(!before.iter().filter(|file| file.ends_with(".json")).any(|file| file.exists()));
}

#[test]
fn a_verify_beside_backups_that_remove_old_ones_finds_no_damage() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = Hub::start_on(data.path(), &["--store-rotate-bytes", "1MiB"]);
    publish_large(&hub, "a", 60);
    backup(&hub, dir.path());
    thread::scope(|scope| {
        let backups = scope.spawn(|| {
            for n in 0..20 {
                hub.publish("a", &n.to_string());
                let (code, _, err) = run(&["backup", "--url", &hub.url(), "--to", text(dir.path()), "--keep", "1"]);
                assert_eq!(code, 0, "{err}");
            }
        });
        while !backups.is_finished() {
            let (code, found) = verify(dir.path());
            assert_eq!(code, 0, "{found}");
        }
    });
}

#[test]
fn a_backup_that_is_removed_by_hand_is_no_damage_and_its_parts_go_with_the_next_backup() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = Hub::start_on(data.path(), &[]);
    hub.publish("t", "event");
    let first = backup(&hub, dir.path());
    let name = first["name"].as_str().unwrap();
    fs::remove_file(dir.path().join(format!("backups/{name}.json"))).unwrap();
    hub.publish("t", "more");
    let made = backup(&hub, dir.path());
    let parts = super::commands::parts(dir.path(), &made["name"]);
    assert_eq!(files(&dir.path().join("parts")).len(), parts.len());
    assert_eq!(verify(dir.path()).0, 0);
}
