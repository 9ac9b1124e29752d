//! A full disk: publishes are refused in time and accepted again when there is room; no acknowledged event is lost.

use std::process::Command;

use super::*;
use crate::engine::log::store::Liveness;

/// A small tmpfs, unmounted on drop.
struct Mount(tempfile::TempDir);

impl Mount {
    /// `None` where mounting is not allowed.
    fn new(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let option = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &option, "tmpfs"]).arg(dir.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(dir))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "the test's tmpfs stays mounted");
    }
}

/// Keeps nothing.
struct NoneLive;

impl Liveness for NoneLive {
    fn first_kept(&self, _: TopicKey) -> Option<Seq> {
        None
    }
}

#[test]
fn a_full_disk_refuses_and_accepts_again_and_loses_nothing() {
    let Some(mount) = Mount::new("48m") else {
        eprintln!("SKIPPED: no right to mount a tmpfs, so a full disk was not tested");
        return;
    };
    let dir = mount.0.path().join("store");
    let config = SledConfig { reserve_bytes: 16 << 20, rotate_bytes: 4 << 20, ..config(&dir) };
    let (mut bench, _) = Bench::with(config.clone());
    let data = "x".repeat(20_000);
    let fill = |bench: &mut Bench| {
        for _ in 0..5000 {
            let commit = bench.build(vec![NewEvent::new(name("a"), data.as_str())]);
            match bench.store.commit(&commit) {
                Ok(()) => bench.events.extend(commit.events.iter().cloned()),
                Err(StoreError::Full) => {
                    // As in the log engine, the position is not used.
                    bench.next -= 1;
                    let last = bench.events.last().expect("some were accepted").1.event.seq.0;
                    bench.last.insert(bench.keys["a"], last);
                    return;
                }
                Err(failed) => panic!("{failed}"),
            }
        }
        panic!("it never became full");
    };
    fill(&mut bench);
    assert!(matches!(bench.store.room(), Err(StoreError::Full)));
    bench.check_all();
    let mark = TopicSettings { deleted_through: Some(Seq(1)), ..TopicSettings::default() };
    bench
        .store
        .save_settings(&[TopicRecord::new(name("gone"), mark.clone())])
        .expect("deleting is possible on a full disk");
    // Another process fills the disk, and frees it again.
    let ballast = mount.0.path().join("ballast");
    let (bench, _) = bench.reopen(config.clone());
    bench.check_all();
    let mut bench = bench;
    bench.wait_sealed();
    bench.store.reclaim(&NoneLive).expect("reclaimed on a full disk");
    bench.events.clear();
    std::thread::sleep(std::time::Duration::from_millis(150));
    assert!(bench.store.room().is_ok(), "there is room again");
    std::fs::write(&ballast, vec![1; 30 << 20]).expect("written");
    std::thread::sleep(std::time::Duration::from_millis(150));
    assert!(matches!(bench.store.room(), Err(StoreError::Full)), "files of other processes count");
    std::fs::remove_file(ballast).expect("removed");
    assert!(bench.store.room().is_ok(), "with no restart");
    let first = bench.next;
    fill(&mut bench);
    let read = |bench: &Bench| {
        let topic = (bench.keys["a"], &name("a"));
        bench.store.topic_events(topic, Seq(first - 1), Seq(u64::MAX - 1), ALL).expect("read")
    };
    assert!(read(&bench).iter().eq(bench.events.iter().map(|(_, stored)| stored)));
    let (bench, recovered) = bench.reopen(config);
    assert!(read(&bench).iter().eq(bench.events.iter().map(|(_, stored)| stored)));
    assert_eq!((recovered.lost, bench.store.losses()), (vec![], 0));
}
