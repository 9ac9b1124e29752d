//! A deterministic simulation of the log engine, the hub and its feeds, over the store in memory.
//!
//! A seed chooses a program (publishers, readers that stall and reconnect, an operator who removes, deletes, limits,
//! closes, replaces the log, restarts and crashes the hub) and its interleaving: at every lock, wake-up and atomic access
//! of `src/sync`, which thread continues. So a seed repeats a failure. `GAPLESS_SEEDS=N` runs N seeds from `GAPLESS_FIRST_SEED`, 0 by
//! default; `GAPLESS_SEED=K` runs seed K and prints its history. Only with the feature `simulation`: `make simulate`.
//!
//! | module | idea |
//! |---|---|
//! | `scheduler` | which thread continues |
//! | `disk` | the store, and crashes |
//! | `ledger` | what is durable, and what readers may miss |
//! | `reader` | a subscriber, and what it must be told |
//! | `replaceable` | an engine whose log is replaced by another one |
//! | `world` | the hub, one process after another |
//! | `program` | what the threads do |

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

use crate::{
    ledger::Ledger,
    scheduler::{SeededScheduler, Trace},
};

mod disk;
mod ledger;
mod program;
mod reader;
mod replaceable;
mod scheduler;
mod world;

const TOPICS: [&str; 3] = ["a", "b", "c"];

/// Cores of the hub.
const SHARDS: usize = 2;

/// Seeds of one run, unless `GAPLESS_SEEDS` says otherwise: some 6 s on two cores with the profile of the Makefile, and
/// half a minute in a plain debug build.
const SEEDS: u64 = 3000;

/// Bytes of stack of each thread: a debug build needs more than shuttle's 60 KiB.
const STACK: usize = 512 << 10;

/// Steps after which an execution counts as endless: a hundred times what the longest of some thousand seeds took.
const STEPS: usize = 1_000_000;

/// What an execution was: its history, and its scheduler's choices.
#[derive(Debug, PartialEq, Eq)]
struct Execution {
    history: String,
    fingerprint: (u64, u64),
    passed: bool,
}

fn execute(seed: u64) -> Execution {
    let mut config = Config::new();
    config.stack_size = STACK;
    config.failure_persistence = FailurePersistence::None;
    config.max_steps = MaxSteps::FailAfter(STEPS);
    config.silence_warnings = true;
    let (trace, ledger) = (Trace::default(), Arc::new(Ledger::default()));
    let runner = Runner::new(SeededScheduler::new(seed, trace.clone()), config);
    let facts = Arc::clone(&ledger);
    let passed = catch_unwind(AssertUnwindSafe(|| runner.run(move || program::run(seed, &facts)))).is_ok();
    Execution { history: ledger.history(), fingerprint: trace.fingerprint(), passed }
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

#[test]
fn every_reader_gets_its_events_in_order_once_or_is_told_of_a_gap() {
    if let Some(seed) = number("GAPLESS_SEED") {
        let execution = execute(seed);
        println!("{}{:?}", execution.history, execution.fingerprint);
        assert!(execution.passed, "seed {seed}");
        return;
    }
    let first = number("GAPLESS_FIRST_SEED").unwrap_or(0);
    let end = first + number("GAPLESS_SEEDS").unwrap_or(SEEDS);
    // Every seed before the lowest that failed has been executed when the threads have ended.
    let (next, failed) = (AtomicU64::new(first), AtomicU64::new(end));
    let steps = AtomicU64::new(0);
    let run = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= failed.load(Ordering::Relaxed) {
                return;
            }
            let execution = execute(seed);
            if !execution.passed {
                failed.fetch_min(seed, Ordering::Relaxed);
            }
            let longest = steps.fetch_max(execution.fingerprint.1, Ordering::Relaxed).max(execution.fingerprint.1);
            if (seed + 1 - first).is_multiple_of(1000) {
                println!("{} seeds from {first}; the longest took {longest} steps", seed + 1 - first);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(run);
        }
    });
    let failed = failed.into_inner();
    if failed < end {
        let history = execute(failed).history;
        panic!("seed {failed} failed after:\n{history}repeat it: GAPLESS_SEED={failed} make simulate");
    }
}

#[test]
fn a_seed_repeats_its_execution() {
    for seed in 0..20 {
        assert_eq!(execute(seed), execute(seed), "seed {seed}");
    }
}
