//! Model test: a subscription delivers the events of its topics in order and without gaps, or reports the gap.
//!
//! Random programs run against the hub and against a model, a `Vec` of all events ever published. Rings of a few frames
//! and pages of a few events make lag, replay and hand-over frequent.
//!
//! `GAPLESS_MODEL_CASES` sets the number of programs.

#![expect(clippy::unwrap_used, reason = "tests")]

mod harness;
mod interleaving;
mod model;
#[path = "../support/nats_cluster.rs"]
mod nats_cluster;
mod over_jetstream;
mod reader;
#[path = "../support/standing_cluster.rs"]
mod standing_cluster;
#[path = "../support/test_stream.rs"]
mod test_stream;

use std::time::Duration;

use proptest::{
    prelude::{Just, Strategy, prop_oneof},
    test_runner::{Config, TestRunner},
};

use self::harness::{EngineFactory, Harness, InMemory, OnDisk};

/// Few, so that programs use the same topics.
const TOPICS: [&str; 4] = ["a", "b/1", "b/2", "b/3"];

/// The selections of subscriptions.
const SELECTIONS: [&[&str]; 7] =
    [&["a"], &["b/1"], &["a", "b/2"], &["b/*"], &["**"], &["b/3", "b/*"], &["b/1", "b/2", "b/3"]];

/// Concurrent subscriptions.
const READERS: usize = 4;

#[derive(Debug, Clone)]
enum Step {
    /// One commit of these topics' events.
    Publish(Vec<usize>),
    /// A topic's last event.
    PublishLast(usize),
    Close(usize),
    Reopen(usize),
    Delete(usize),
    /// Removes one of a topic's retained events.
    Remove(usize, usize),
    LimitEvents(usize, u64),
    LimitAge(usize, Duration),
    Advance(Duration),
    /// Replaces a reader by a new one.
    Subscribe(usize, usize, Begin),
    /// A reader takes at most this many deliveries.
    Read(usize, usize),
    /// Polls a reader once without waiting: its page of the log may be read much later.
    Poll(usize),
    /// A reader disconnects and reconnects with its last id.
    Reconnect(usize),
    /// The engine is closed and opened again; every reader reconnects.
    Restart,
}

/// The start of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    Earliest,
    Now,
    /// A cursor that is not an id of this store.
    Unknown,
    /// A cursor past the newest event.
    Ahead,
}

/// Sizes that decide how often a reader lags.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    ring_bytes: usize,
    rings_bytes: usize,
    page_events: usize,
    page_bytes: usize,
    merge_topics: usize,
    pick_topics: usize,
}

fn step() -> impl Strategy<Value = Step> {
    let topic = || 0..TOPICS.len();
    let reader = || 0..READERS;
    let begin = prop_oneof![
        4 => Just(Begin::Earliest),
        3 => Just(Begin::Now),
        1 => Just(Begin::Unknown),
        1 => Just(Begin::Ahead)
    ];
    let seconds = |range| Strategy::prop_map(range, Duration::from_secs);
    prop_oneof![
        12 => proptest::collection::vec(topic(), 1..6).prop_map(Step::Publish),
        1 => topic().prop_map(Step::PublishLast),
        1 => topic().prop_map(Step::Close),
        2 => topic().prop_map(Step::Reopen),
        1 => topic().prop_map(Step::Delete),
        3 => (topic(), 0..8usize).prop_map(|(topic, nth)| Step::Remove(topic, nth)),
        2 => (topic(), 0..5u64).prop_map(|(topic, most)| Step::LimitEvents(topic, most)),
        1 => (topic(), seconds(5..60u64)).prop_map(|(topic, age)| Step::LimitAge(topic, age)),
        2 => seconds(1..20u64).prop_map(Step::Advance),
        5 => (reader(), 0..SELECTIONS.len(), begin)
            .prop_map(|(reader, selection, begin)| Step::Subscribe(reader, selection, begin)),
        8 => (reader(), 1..6usize).prop_map(|(reader, most)| Step::Read(reader, most)),
        3 => reader().prop_map(Step::Poll),
        4 => reader().prop_map(Step::Reconnect),
        1 => Just(Step::Restart),
    ]
}

fn sizes() -> impl Strategy<Value = Sizes> {
    // A frame takes about 250 bytes: a ring holds no frame, two, or a dozen.
    let one_ring = prop_oneof![Just(1), Just(600), Just(3000)];
    let all_rings = prop_oneof![Just(700), Just(1 << 20)];
    // Pages of several topics are read by a scan, a pick or a merge.
    let ways = prop_oneof![Just((0, 0)), Just((2, 0)), Just((9, 0)), Just((2, 9)), Just((9, 9))];
    (one_ring, all_rings, 1..5usize, 1..40usize, ways).prop_map(
        |(ring_bytes, rings_bytes, page_events, page_bytes, (merge_topics, pick_topics))| Sizes {
            ring_bytes,
            rings_bytes,
            page_events,
            page_bytes,
            merge_topics,
            pick_topics,
        },
    )
}

fn check<K: EngineFactory>(cases: u32) {
    let cases = std::env::var("GAPLESS_MODEL_CASES").map_or(cases, |text| text.parse().unwrap());
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let programs = (sizes(), proptest::collection::vec(step(), 1..60));
    let result = runner.run(&programs, |(sizes, steps)| {
        run::<K>(sizes, &steps);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

fn run<K: EngineFactory>(sizes: Sizes, steps: &[Step]) {
    let mut harness = Harness::<K>::new(sizes);
    for step in steps {
        harness.apply(step);
    }
    harness.finish();
}

/// Minimised programs that failed once.
#[test]
fn regression_programs_pass() {
    use Begin::{Earliest, Now};
    use Step::{Close, Delete, LimitEvents, Poll, Publish, PublishLast, Read, Remove, Reopen, Subscribe};
    const A_AND_B2: usize = 2;
    let sizes = Sizes {
        ring_bytes: 3000,
        rings_bytes: 1 << 20,
        page_events: 1,
        page_bytes: 1,
        merge_topics: 0,
        pick_topics: 0,
    };
    let programs = [
        // A deleted name was used again, and the stream finished with it.
        vec![Subscribe(0, A_AND_B2, Earliest), Publish(vec![2]), Delete(2), Publish(vec![2, 0, 2]), Delete(0)],
        // The second end of a name was mistaken for the first.
        vec![Publish(vec![2]), Subscribe(0, A_AND_B2, Now), Delete(2), Poll(0), Publish(vec![2]), Close(2)],
        // The closing event was trimmed before it was read.
        vec![LimitEvents(0, 0), Subscribe(0, A_AND_B2, Earliest), PublishLast(0)],
        // Removed after its page was read, and before the page was delivered.
        vec![Publish(vec![0, 0]), Subscribe(0, 0, Earliest), Poll(0), Remove(0, 0), Read(0, 5)],
        // Closed by an event, then reopened and closed again without one.
        vec![Subscribe(0, A_AND_B2, Earliest), PublishLast(0), Read(0, 1), Reopen(0), Close(0)],
    ];
    for steps in &programs {
        run::<InMemory>(sizes, steps);
    }
}

#[test]
fn deliveries_are_gap_free_or_the_gap_was_reported_in_memory() {
    check::<InMemory>(400);
}

#[test]
fn deliveries_are_gap_free_or_the_gap_was_reported_on_disk() {
    check::<OnDisk>(24);
}
