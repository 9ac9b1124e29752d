//! The machine: CPU affinity, and the machine's description for the report.

use std::{fs, thread::available_parallelism};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::{Value, json};

/// The processor for a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CpuRole {
    /// The server under load: the first.
    Server,
    /// The load generator: the second, or the only one.
    Load,
}

/// Pins this thread, and the processes that it starts from now on, to the role's processor. Safe Rust has no other way
/// to pin a child process before its first thread runs.
pub(crate) fn pin(role: CpuRole) {
    // The first or the second of the processors that this process was given.
    let all = ALLOWED.with(Clone::clone);
    let index = usize::from(role == CpuRole::Load && all.len() > 1);
    let mut set = CpuSet::new();
    set.set(all[index]);
    sched_setaffinity(None, &set).expect("one of our own processors");
}

/// Lets this thread, and the processes that it starts from now on, use every processor.
pub(crate) fn unpin() {
    let mut set = CpuSet::new();
    ALLOWED.with(|all| all.iter().for_each(|cpu| set.set(*cpu)));
    sched_setaffinity(None, &set).expect("our own processors");
}

thread_local! {
    /// The processors that this process was given, before it pinned itself.
    static ALLOWED: Vec<usize> = {
        let set = sched_getaffinity(None).expect("Linux tells");
        (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
    };
}

/// Bytes of memory that a process could take now.
pub(crate) fn available_memory() -> u64 {
    memory("MemAvailable") << 10
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value of a line of one of proc(5)'s tables.
fn field(text: &str, name: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_once(':')).map_or(String::new(), |(_, value)| value.trim().to_owned())
}

/// Of the machine, in KiB.
fn memory(name: &str) -> u64 {
    field(&read("/proc/meminfo"), name).trim_end_matches(" kB").parse().unwrap_or_default()
}

/// The machine on which the figures were measured.
pub(crate) fn description() -> Value {
    let kib = memory("MemTotal");
    json!({
        "cpu": field(&read("/proc/cpuinfo"), "model name"),
        "cores": ALLOWED.with(Vec::len).max(available_parallelism().map_or(1, usize::from)),
        "memory_gib": (kib + (1 << 19)) >> 20,
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
    })
}
