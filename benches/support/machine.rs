//! The machine: which processors a process may use, and what the report says of them.

use std::{fs, thread::available_parallelism};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::{Value, json};

/// Whose processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyPermit {
    /// The server under load: the first.
    Server,
    /// The load generator: the second, or all there is.
    Load,
}

/// Moves this thread, and the processes it starts from now on, to its processor. Safe Rust has no other way to place a
/// child before its first thread is there.
pub(crate) fn pin(place: BodyPermit) {
    // The first of those this process was given, and the second.
    let all = ALLOWED.with(Clone::clone);
    let index = usize::from(place == BodyPermit::Load && all.len() > 1);
    let mut set = CpuSet::new();
    set.set(all[index]);
    sched_setaffinity(None, &set).expect("one of our own processors");
}

/// Lets this thread, and the processes it starts from now on, use every processor.
pub(crate) fn unpin() {
    let mut set = CpuSet::new();
    ALLOWED.with(|all| all.iter().for_each(|cpu| set.set(*cpu)));
    sched_setaffinity(None, &set).expect("our own processors");
}

thread_local! {
    /// Processors this process was given, before it pinned itself.
    static ALLOWED: Vec<usize> = {
        let set = sched_getaffinity(None).expect("Linux tells");
        (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
    };
}

/// What the figures were taken on.
pub(crate) fn description() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    let kib: u64 = field(&read("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse().unwrap_or_default();
    json!({
        "cpu": field(&read("/proc/cpuinfo"), "model name"),
        "cores": ALLOWED.with(Vec::len).max(available_parallelism().map_or(1, usize::from)),
        "memory_gib": (kib + (1 << 19)) >> 20,
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
    })
}
