//! A backup or a restore that is killed (SIGKILL) leaves what was there before, and is begun again.

use std::fs;

use super::{
    commands::{backup, backup_at_last, begin_backup, ended, files, gapless, publish_large, restore, text, verify},
    support::{eventually, hub::Hub},
};

/// A store from which a backup takes seconds, because it leaves half of the time to others.
fn large(data: &std::path::Path) -> Hub {
    let hub = Hub::start_on(data, &["--store-rotate-bytes", "2MiB"]);
    publish_large(&hub, "a", 160);
    hub
}

#[test]
fn a_killed_backup_leaves_the_one_before_whole_and_the_next_one_succeeds() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut hub = large(data.path());
    let (first, archive) = (dir.path().join("first"), dir.path().join("backups"));
    // The client.
    backup(&hub, &first);
    for to in [&first, &archive] {
        let before = fs::read_dir(to.join("backups")).map_or(0, Iterator::count);
        hub.publish("a", "more");
        let mut killed = begin_backup(&hub, to);
        // In a part whose size has begun to grow.
        let half = to.join("parts/receiving.half");
        eventually("a part is received", || half.metadata().is_ok_and(|meta| meta.len() > 0));
        killed.kill().unwrap();
        assert!(killed.wait().unwrap().code().is_none(), "it was still at work");
        assert_eq!(fs::read_dir(to.join("backups")).unwrap().count(), before, "it does not count");
        if before > 0 {
            let (code, found) = verify(to);
            assert_eq!((code, found["backups"].as_array().unwrap().len()), (0, before), "{found}");
        }
        eventually("the hub makes another one", || {
            ended(begin_backup(&hub, to)).status.code().is_some_and(|code| code == 0)
        });
        assert_eq!(verify(to).0, 0);
        let is_half = |file: &std::path::PathBuf| file.extension().is_some_and(|ending| ending == "half");
        assert!(!files(to).iter().any(is_half), "what it left is gone");
    }
    // The hub.
    let fresh = dir.path().join("fresh");
    let waiting = begin_backup(&hub, &fresh);
    eventually("a part is received", || fresh.join("parts/receiving.half").exists());
    hub.kill();
    let output = ended(waiting);
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && err.contains("broken"), "{output:?}");
    assert_eq!(fs::read_dir(fresh.join("backups")).unwrap().count(), 0);
    let hub = hub.again();
    assert_eq!(backup(&hub, &fresh)["events"], 162);
    assert_eq!(verify(&fresh).0, 0);
}

#[test]
fn what_a_killed_backup_has_received_is_not_sent_again_and_nothing_else_of_it_stays() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = large(data.path());
    let (backups, archive) = (dir.path().join("backups"), dir.path().join("hub.tar.zst"));
    for (to, work) in [(&backups, backups.clone()), (&archive, dir.path().join("hub.tar.zst.parts"))] {
        let mut killed = begin_backup(&hub, to);
        let unfinished = work.join("unfinished");
        let received = || fs::read_to_string(&unfinished).map_or(0, |text| text.matches("sha256").count());
        eventually("two parts are received", || received() >= 2);
        killed.kill().unwrap();
        assert!(killed.wait().unwrap().code().is_none(), "it was still at work");
        let parts = work.join("parts");
        let stray = [parts.join(format!("{}.part", "a".repeat(64))), parts.join("b.part.half")];
        let half = dir.path().join("hub.tar.zst.half");
        for file in [&stray[0], &stray[1], &half] {
            fs::write(file, "cut").unwrap();
        }
        let made = backup_at_last(&hub, to);
        assert!(made["reused_bytes"].as_u64().unwrap() > 2_000_000, "{made}");
        assert_eq!(verify(to).0, 0);
        if to.is_dir() {
            assert!(!unfinished.exists());
            assert_eq!(files(&parts).len(), super::commands::parts(to, &made["name"]).len());
            fs::remove_dir_all(to).unwrap();
            fs::remove_file(half).unwrap();
        } else {
            assert_eq!(files(dir.path()), std::slice::from_ref(&archive));
        }
    }
}

#[test]
fn a_killed_restore_leaves_no_store_and_is_begun_again() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = large(data.path());
    let (backups, restored) = (dir.path().join("backups"), dir.path().join("restored"));
    backup(&hub, &backups);
    let mut killed = gapless(&["restore", "--from", text(&backups), "--data", text(&restored)]).spawn().unwrap();
    let segments = restored.join("restore.half/seg");
    eventually("segments are made", || fs::read_dir(&segments).is_ok_and(|dir| dir.count() > 1));
    killed.kill().unwrap();
    assert!(killed.wait().unwrap().code().is_none(), "it was still at work");
    let (code, err) = Hub::refused(&["--listen", "127.0.0.1:0", "--data", text(&restored)]);
    assert!(code == Some(1) && err.contains("run it again"), "{code:?} {err}");
    restore(&backups, &restored);
    assert!(!restored.join("restore.half").exists());
    let again = Hub::start_on(&restored, &[]);
    assert_eq!(again.kept("a"), hub.kept("a"));
    // Not over a store.
    let (code, _, err) = super::commands::run(&["restore", "--from", text(&backups), "--data", text(data.path())]);
    assert!(code == 75 && err.contains("another process"), "{code} {err}");
    drop((hub, again));
    let (code, _, err) = super::commands::run(&["restore", "--from", text(&backups), "--data", text(data.path())]);
    assert!(code == 1 && err.contains("holds a store already"), "{code} {err}");
}
