//! A disk that fills while a backup is made.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;

use super::{
    commands::{backup, backup_at_last, files, run, text, verify},
    support::{eventually, hub::Hub},
};

/// A small disk, which is unmounted when it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` without the right to mount one.
    fn at(path: &Path, megabytes: u32) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let disk = Self(path.into());
        if disk.mount(&format!("size={megabytes}m")) {
            return Some(disk);
        }
        std::mem::forget(disk);
        eprintln!("SKIPPED: no right to mount a disk");
        None
    }

    fn resize(&self, megabytes: u32) {
        assert!(self.mount(&format!("remount,size={megabytes}m")));
    }

    fn mount(&self, options: &str) -> bool {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&self.0).output();
        mounted.is_ok_and(|output| output.status.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{} stays mounted", self.0.display());
    }
}

/// Events that cannot be compressed to less than three quarters.
fn publish_noise(hub: &Hub, count: u64) {
    let mut state = 1_u64;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'0' + u8::try_from(state >> 58).unwrap())
    };
    for _ in 0..count {
        let data: String = (0..50_000).map(|_| letter()).collect();
        let body = json!({ "topic": "noise", "data": data }).to_string();
        let answer = hub.post("/publish", &[("content-type", "application/json")], body.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[test]
fn a_full_disk_is_named_and_holds_only_what_the_next_backup_uses() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(disk) = SmallDisk::at(&dir.path().join("disk"), 6) else { return };
    let hub = Hub::start_on(data.path(), &["--store-rotate-bytes", "1MiB"]);
    publish_noise(&hub, 160);
    let to = disk.0.join("backups");
    let made = ["backup", "--url", &hub.url(), "--to", text(&to)];
    let (code, _, err) = run(&made);
    assert!(code == 1 && err.contains("No space left") && err.contains(text(&to)), "{code} {err}");
    let is_half = |file: &PathBuf| file.extension().is_some_and(|ending| ending == "half");
    assert!(!files(&to).iter().any(is_half), "what the next one cannot use is gone");
    eventually("it is still full", || run(&made).0 == 1);
    disk.resize(64);
    let made = backup_at_last(&hub, &to);
    assert!(made["reused_bytes"].as_u64().unwrap() > 2_000_000, "{made}");
    let parts = super::commands::parts(&to, &made["name"]).len();
    assert_eq!((files(&to.join("parts")).len(), verify(&to).0), (parts, 0));
}

#[test]
fn a_full_disk_under_an_archive_is_named_and_the_archive_before_stays() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(disk) = SmallDisk::at(&dir.path().join("disk"), 64) else { return };
    let hub = Hub::start_on(data.path(), &["--store-rotate-bytes", "1MiB"]);
    let archive = disk.0.join("hub.tar.zst");
    hub.publish("noise", "first");
    backup(&hub, &archive);
    let before = fs::read(&archive).unwrap();
    publish_noise(&hub, 160);
    disk.resize(11); // parts of 8 MB, and an archive of 6 MB
    let made = ["backup", "--url", &hub.url(), "--to", text(&archive)];
    for _ in 0..2 {
        let (code, _, err) = run(&made);
        assert!(code == 1 && err.contains("No space left"), "{code} {err}");
        assert!(err.contains("hub.tar.zst.half") && !err.contains(".part"), "it names what is written: {err}");
        assert_eq!(fs::read(&archive).unwrap(), before);
        assert!(!disk.0.join("hub.tar.zst.half").exists(), "a full disk does not stay full of it");
    }
    disk.resize(64);
    let made = backup_at_last(&hub, &archive);
    assert!(made["reused_bytes"].as_u64().unwrap() > 2_000_000, "{made}");
    assert_eq!((files(&disk.0), verify(&archive).0), (vec![archive], 0));
}
