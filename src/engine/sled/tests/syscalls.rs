//! Durability at the level of system calls, traced with strace.

use std::fs;
use std::io::Read;
use std::process::Command;

/// Name and file of a traced system call on a descriptor.
fn call(line: &str) -> Option<(&str, &str)> {
    // `123 fdatasync(7</data/seg/…/db>) = 0`, with the process's number first.
    let line = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
    let (name, rest) = line.split_once('(')?;
    let file = rest.split_once('<')?.1.split_once('>')?.0;
    Some((name, file))
}

#[test]
fn an_fdatasync_stands_between_a_commits_write_and_its_receipt() {
    if !Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: strace is not installed, so durability was not tested; `make test` installs it");
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let trace = dir.path().join("trace");
    let trace_text = trace.to_str().expect("UTF-8");
    let calls = "trace=fdatasync,fsync,sync_file_range,pwrite64,write";
    let wrapper = ["strace", "-f", "-y", "-s", "64", "-e", calls, "-o", trace_text];
    let mut child = super::crash::spawn(&wrapper, &dir.path().join("store"), Some(40));
    let mut said = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut said).expect("read");
    child.wait().expect("gone");
    let acked = said.lines().filter(|line| line.starts_with("ack ")).count();
    let trace = fs::read_to_string(trace).expect("a trace");
    if acked == 0 && trace.lines().count() < 2 {
        eprintln!("SKIPPED: strace may not trace here, so durability was not tested");
        return;
    }
    assert_eq!(acked, 40, "{said}");
    assert!(!trace.contains("sync_file_range("), "sled's own sync reached the kernel");
    check(&trace, acked);
}

/// Asserts that between two receipts there are writes to a segment's database, followed by an fdatasync of that file.
fn check(trace: &str, acked: usize) {
    let (mut proved, mut written, mut unsynced) = (0, 0, false);
    for line in trace.lines() {
        let receipt = line.contains("write(1<") && line.contains("\"ack ");
        match call(line) {
            _ if receipt => {
                assert!(written > 0 && !unsynced, "the receipt came before the sync: {line}");
                (proved, written) = (proved + 1, 0);
            }
            Some(("pwrite64", file)) if file.contains("/seg/") && file.ends_with("/db") => {
                written += 1;
                unsynced = true;
            }
            Some(("fdatasync" | "fsync", file)) if file.contains("/seg/") && file.ends_with("/db") => unsynced = false,
            _ => {}
        }
    }
    assert_eq!(proved, acked);
}
