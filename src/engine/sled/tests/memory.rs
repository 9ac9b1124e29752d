//! The memory that sled keeps of written values: measured in a process of its own for each way of writing.

use std::process::Command;

use super::super::{database, parts};

const WAY: &str = "GAPLESS_TEST_WAY";
const VALUE_BYTES: usize = 1_000_000;
/// More than fits into sled's cache.
const VALUES: u64 = 80;
const PROCESSES: usize = 4;
const CACHE_BYTES: u64 = 32 << 20;

/// Anonymous resident memory of this process, in KiB.
fn anonymous() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc(5)");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("proc(5)");
    line.trim().trim_end_matches(" kB").parse().expect("proc(5)")
}

/// Smallest growth of the anonymous memory of processes that write in this way, in KiB. The smallest, because sled frees
/// pages when its threads get to run: on a busy machine one process in eight kept 10 MB more for a while.
fn grown(way: &str) -> u64 {
    (0..PROCESSES).map(|_| grown_once(way)).min().expect("at least one process")
}

fn grown_once(way: &str) -> u64 {
    let exe = std::env::current_exe().expect("the test binary");
    let child = ["--exact", "engine::sled::tests::memory::writing_large_values", "--ignored", "--nocapture"];
    let output = Command::new(exe).args(child).env(WAY, way).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let grown = said.lines().find_map(|line| line.split_once("grown ")?.1.trim().parse().ok());
    grown.unwrap_or_else(|| panic!("{said}"))
}

#[test]
fn parts_of_large_values_leave_sleds_cache_while_others_are_written() {
    let (ours, plain) = (grown("parts"), grown("plain"));
    assert!(4 * ours < 3 * plain, "{ours} KiB; with plain inserts: {plain} KiB");
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn writing_large_values() {
    let Ok(way) = std::env::var(WAY) else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let db = database::open(dir.path(), CACHE_BYTES).expect("opened");
    let tree = db.open_tree("blocks").expect("opened");
    let value = vec![b'x'; VALUE_BYTES];
    let before = anonymous();
    for n in 0..VALUES {
        let stem = n.to_be_bytes();
        if way == "parts" {
            parts::insert(&tree, &stem, &value).expect("inserted");
        } else {
            for (part, bytes) in (0..).zip(value.chunks(parts::PART_BYTES)) {
                tree.insert(parts::key(&stem, part), bytes).expect("inserted");
            }
        }
    }
    // Buffers of sled's log that wait for the disk are not its cache.
    db.flush().expect("flushed");
    println!("grown {}", anonymous() - before);
}
