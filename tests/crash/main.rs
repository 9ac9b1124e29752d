//! Killed at any moment, the hub loses no acknowledged event and delivers none that a crash can undo.
//!
//! The real process is killed (SIGKILL) again and again, while it serves and while it starts. Publishers of every kind
//! and subscribers that reconnect as an EventSource does never stop. Then the ledger is compared with the log.
//!
//! `GAPLESS_CRASH_KILLS` sets how often, `GAPLESS_CRASH_SEED` repeats a run's choices (not its timing). Over JetStream
//! (`GAPLESS_TEST_ENGINE=jetstream`) it is killed less often, since a hub leads only when its predecessor was silent for a while.

#![expect(clippy::unwrap_used, reason = "tests")]

mod ledger;
mod process;
mod publisher;
mod subscriber;
#[path = "../promises/support/mod.rs"]
#[expect(dead_code, reason = "shared with the promises, which need more of it")]
mod support;
mod verdict;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use fastrand::Rng;

use self::{
    ledger::Ledger,
    process::Process,
    subscriber::{EventsQuery, Seen},
    support::engine::{Capability, has},
};

/// The minimum number of kills: enough to hit each kind of moment, in the few minutes of CI.
const KILLS: u32 = 200;

/// Over JetStream a run has so many times fewer kills.
const DIVIDE_OVER_JETSTREAM: u32 = 20;

/// Over JetStream a hub leads 2.5 to 3.5 s after its predecessor was killed. It serves for up to this time, so that about
/// half of the kills strike one that leads.
const SERVE_OVER_JETSTREAM: Duration = Duration::from_secs(7);

/// The parameters of a run.
struct Plan {
    /// It kills so many times less often than asked.
    divide_kills: u32,
    arguments: &'static [&'static str],
    topics: &'static [&'static str],
    /// Longest time the hub may serve before it is killed.
    serve: Duration,
    /// Data of an event is at most this long.
    data_bytes: usize,
    /// Eight subscribers.
    queries: &'static [EventsQuery],
}

const SERVING: Plan = Plan {
    divide_kills: 1,
    arguments: &[],
    topics: &["kept/a", "kept/b", "kept/c/d", "kept/c/e", "kept/long name ü"],
    serve: Duration::from_millis(800),
    data_bytes: 2_000,
    queries: &[
        EventsQuery::from_earliest(&["kept/a"]),
        EventsQuery::from_earliest(&["kept/b"]),
        EventsQuery::from_earliest(&["kept/a", "kept/c/d"]),
        EventsQuery::from_earliest(&["kept/*"]),
        EventsQuery::from_earliest(&["kept/c/*", "kept/b"]),
        EventsQuery::from_earliest(&["**"]),
        EventsQuery::from_now(&["kept/**"]),
        EventsQuery::from_now(&["kept/long name ü"]),
    ],
};

const RECLAIMING: Plan = Plan {
    // Space is reclaimed every two seconds, so each process runs longer.
    divide_kills: 10,
    arguments: &[
        "--store-rotate-bytes",
        "4MiB",
        "--retention-rules",
        "[{ topics = \"short/a\", max_events = 20 }, { topics = \"short/b\", max_bytes = \"100KiB\" }]",
    ],
    topics: &["kept/a", "kept/b", "short/a", "short/b"],
    serve: Duration::from_secs(5),
    data_bytes: 10_000,
    queries: &[
        EventsQuery::from_earliest(&["kept/a"]),
        EventsQuery::from_earliest(&["kept/*"]),
        EventsQuery::from_earliest(&["kept/b", "short/b"]),
        EventsQuery::from_earliest(&["short/a"]),
        EventsQuery::from_earliest(&["short/*"]),
        EventsQuery::from_earliest(&["**"]),
        EventsQuery::from_now(&["**"]),
        EventsQuery::from_now(&["kept/b", "short/a"]),
    ],
};

#[test]
fn killed_at_random_moments_it_loses_nothing_and_repeats_nothing() {
    run(&SERVING);
}

/// Segments rotate, are copied forward and dropped while the hub is killed. Losses of the short topics are reported, and
/// the others lose nothing.
#[test]
fn killed_while_it_takes_back_space_it_tells_each_gap_and_makes_no_other() {
    run(&RECLAIMING);
}

fn run(plan: &Plan) {
    let seed = number("GAPLESS_CRASH_SEED").unwrap_or_else(|| fastrand::u64(..));
    let (divide, serve) = if has(Capability::PromptRestarts) {
        (plan.divide_kills, plan.serve)
    } else {
        (DIVIDE_OVER_JETSTREAM, plan.serve.max(SERVE_OVER_JETSTREAM))
    };
    let kills = number("GAPLESS_CRASH_KILLS").unwrap_or(KILLS).div_ceil(divide);
    println!("GAPLESS_CRASH_SEED={seed}, {kills} kills");
    let mut random = Rng::with_seed(seed);
    let mut hub = Process::new(plan.arguments);
    let address = hub.address();
    let ledger = Arc::new(Ledger::default());
    let stop = Arc::new(AtomicBool::new(false));
    hub.spawn();
    hub.wait_until_it_serves();
    let publishers = publisher::start(address, &random.fork(), plan, &ledger, &stop);
    let subscribers = subscriber::start(address, &random.fork(), plan.queries, plan.topics);
    let began = Instant::now();
    for _ in 0..kills {
        // A quarter of the kills fall into the start, at any of its steps.
        if random.u8(0..4) == 0 {
            thread::sleep(Duration::from_micros(random.u64(0..50_000)));
        } else {
            hub.wait_until_it_serves();
            thread::sleep(serve.mul_f64(random.f64()));
        }
        assert!(!publishers.iter().any(JoinHandle::is_finished), "a publisher failed; {}", hub.log());
        assert!(!subscribers.iter().any(JoinHandle::is_finished), "a subscriber failed; {}", hub.log());
        hub.kill();
        hub.spawn();
    }
    let took = began.elapsed();
    hub.wait_until_it_serves();
    stop.store(true, Ordering::SeqCst);
    for publisher in publishers {
        publisher.join().unwrap();
    }
    // One more restart, so that the last acknowledged events survive a kill too.
    hub.kill();
    hub.spawn();
    hub.wait_until_it_serves();
    publisher::end_each(address, plan.topics, &ledger);
    let given: Vec<Seen> = subscribers.into_iter().map(|subscriber| subscriber.join().unwrap()).collect();
    let log = subscriber::read_all(address, plan.topics);
    let figures = verdict::check(&ledger, &log, &given);
    let rate = f64::from(kills) / took.as_secs_f64();
    println!("{kills} kills in {took:.1?} ({rate:.2} a second), a start takes {:.0?}; {figures}", hub.mean_start());
}

fn number<T: std::str::FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok().map(|text| text.parse().ok().expect("a number"))
}
