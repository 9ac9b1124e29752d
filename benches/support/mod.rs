//! What the benches share. Each of them starts the real release binary on a store of its own and checks in the same run
//! that no event was lost, doubled or out of order: a wrong hub has no figures.
//!
//! | room | idea |
//! |---|---|
//! | [`rounds`] | every contender in every round |
//! | [`contender`] | the hub and its peers as processes |
//! | [`peers`] | those of the peers that take more than a line to start |
//! | [`process`] | a process tree's CPU time and memory |
//! | [`machine`] | which processor for whom |
//! | [`questions`] | what more than one bench asks |
//! | [`report`] | a table, and the same as JSON |
//! | [`hub`] | the hub alone, as it comes |
//! | [`posting`] | publishers over HTTP, and the servers that they are measured against |
//! | [`store`] | a store made in this process, before the hub opens it |
//! | [`wire`] | one client that resumes |
//!
//! `GAPLESS_BENCH_QUICK=1` sees that all of it works, `GAPLESS_BENCH_ROUNDS=n` sets the rounds, and
//! `GAPLESS_BENCH_ONLY=floor,nchan` whom to measure.

#![allow(dead_code, reason = "not every bench uses all of it")]

pub(crate) mod contender;
pub(crate) mod hub;
pub(crate) mod machine;
pub(crate) mod peers;
pub(crate) mod posting;
pub(crate) mod process;
pub(crate) mod questions;
pub(crate) mod report;
pub(crate) mod rounds;
pub(crate) mod store;
pub(crate) mod wire;

use std::{path::Path, time::Duration};

use tempfile::TempDir;
use tokio::{runtime, task::LocalSet};

/// How long anything may take before the bench has failed.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// Whether to measure: `cargo test --all-targets` runs the benches, too, only to see that they build.
pub(crate) fn asked() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// A directory for stores below `target/bench`, on a real disk where `/tmp` may be none; removed in the end.
pub(crate) fn directory() -> TempDir {
    let below = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    std::fs::create_dir_all(&below).expect("target/ can be written");
    TempDir::new_in(below).expect("a directory")
}

/// Runs `work` on this thread, within [`PATIENCE`].
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let bounded = async { tokio::time::timeout(PATIENCE, work).await.expect("within two minutes") };
    LocalSet::new().block_on(&runtime, bounded)
}

/// The value in the middle; of an even number, between the two that are.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2])
}

/// An event's data: `bytes` of it, the first 16 of which say that it is the `n`th.
pub(crate) fn payload(n: u64, bytes: usize) -> String {
    format!("{n:016x}{}", "gapless ".repeat(bytes / 8))[..bytes].to_owned()
}
