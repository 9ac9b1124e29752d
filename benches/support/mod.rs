//! Shared parts of the benches. Each bench starts the real release binary on a store of its own and checks in the same
//! run that no event was lost, duplicated or out of order: an incorrect hub gets no figures.
//!
//! | module | idea |
//! |---|---|
//! | [`rounds`] | measures every contender in every round |
//! | [`child`] | a server as a child process |
//! | [`contender`] | the hub and its peers as processes |
//! | [`peers`] | how Mercure, Centrifugo and Redis are started |
//! | [`process`] | a process tree's CPU time and memory |
//! | [`machine`] | CPU affinity, and the machine's description |
//! | [`questions`] | measurements that more than one bench makes |
//! | [`report`] | the results as a table and as JSON |
//! | [`hub`] | the hub alone, on every processor |
//! | [`posting`] | publishers over HTTP, and the servers that they publish to |
//! | [`store`] | stores filled in this process, before the hub opens them |
//! | [`wire`] | a client that resumes a stream |
//!
//! `GAPLESS_BENCH_QUICK=1` only checks that everything works, `GAPLESS_BENCH_ROUNDS=n` sets the number of rounds, and
//! `GAPLESS_BENCH_ONLY=floor,nchan` the contenders to measure.

#![allow(dead_code, reason = "not every bench uses all of it")]

pub(crate) mod child;
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

/// Longest time that any step may take before the bench fails.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// Whether to measure: `cargo test --all-targets` runs the benches too, only to check that they build.
pub(crate) fn asked() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// A temporary directory for stores below `target/bench`: on a disk, which `/tmp` may not be. Removed when dropped.
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

/// The median; of an even number of values, the mean of the middle two.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2])
}

/// Data of the `n`th event: `bytes` bytes, the first 16 of which are `n`.
pub(crate) fn payload(n: u64, bytes: usize) -> String {
    format!("{n:016x}{}", "gapless ".repeat(bytes / 8))[..bytes].to_owned()
}
