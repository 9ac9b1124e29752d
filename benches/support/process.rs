//! CPU time and memory of a process and its descendants, from proc(5).

use std::{collections::BTreeMap, fs};

/// CPU time that a tree of processes has used at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Used {
    /// Nanoseconds of each running thread.
    threads: BTreeMap<u32, u64>,
    /// Seconds, in ticks of 10 ms, including threads that have ended.
    ticks: f64,
}

/// A process and all of its descendants.
pub(crate) fn tree(root: u32) -> Vec<u32> {
    let (mut all, mut at) = (vec![root], 0);
    while let Some(&pid) = all.get(at) {
        at += 1;
        for task in tasks(pid) {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{task}/children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    all
}

fn tasks(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

impl Used {
    /// The CPU time so far of the processes `roots` and their descendants.
    pub(crate) fn by(roots: impl IntoIterator<Item = u32>) -> Self {
        let (mut threads, mut ticks) = (BTreeMap::new(), 0.0);
        for pid in roots.into_iter().flat_map(tree) {
            for task in tasks(pid) {
                let stat = fs::read_to_string(format!("/proc/{pid}/task/{task}/schedstat")).unwrap_or_default();
                if let Some(ns) = stat.split_whitespace().next().and_then(|ns| ns.parse().ok()) {
                    threads.insert(task, ns);
                }
            }
            ticks += seconds(pid);
        }
        Self { threads, ticks }
    }

    /// Seconds since `before`. With nanosecond precision, unless a thread has ended meanwhile: its time is known only
    /// in ticks.
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of CPU, far below 2^52")]
    pub(crate) fn since(&self, before: &Self) -> f64 {
        if before.threads.keys().all(|thread| self.threads.contains_key(thread)) {
            let sum = |used: &Self| used.threads.values().sum::<u64>();
            (sum(self) - sum(before)) as f64 / 1e9
        } else {
            self.ticks - before.ticks
        }
    }
}

fn seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The process name may contain any character, so fields 14 and 15 of proc(5) are counted from its closing bracket.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Memory of the process `root` and its descendants, in bytes; shared pages are counted once.
pub(crate) fn resident(root: u32) -> f64 {
    let of = |pid: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or_default() * 1024.0
    };
    tree(root).into_iter().map(of).sum()
}
