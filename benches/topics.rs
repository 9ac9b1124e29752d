//! **What do a million topics without subscribers cost?**
//!
//! 1,000,000 topics of 3 events of 128 B, closed in order and opened by the real binary. Seconds to open, until it
//! accepts connections; MB in memory (RSS) 10 s later, after 20 topics across the store were read, and 80 s after
//! that: segments are closed after a minute without reads, and jemalloc takes 10 s to return what they freed. Targets:
//! open in 10 s, idle below 200 MB, and again below that in the end.

mod support;

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use gapless::event::EventId;
use support::{hub::Hub, report::Report, rounds, store, wire};

const EVENTS: u64 = 3;
const BYTES: usize = 128;
const MB: f64 = 1e6;

fn main() {
    if !support::asked() {
        return;
    }
    let dir = support::directory();
    let data = dir.path().join("store");
    let begun = Instant::now();
    let topics = rounds::sized(1_000_000, 20_000);
    let filled = store::fill(&data, topics, topics * EVENTS, BYTES);
    let mut report = Report::new("topics");
    report.row("filling the store, through the engine", begun.elapsed().as_secs_f64(), "s");

    let begun = Instant::now();
    let hub = Hub::start(&data);
    report.below("opening all topics", begun.elapsed().as_secs_f64(), "s", 10.0);
    report.row("CPU of that", hub.cpu(), "s");
    report.row("most memory of that", hub.peak() / MB, "MB");
    sleep(rounds::sized(Duration::from_secs(10), Duration::from_secs(1)));
    report.below("memory, idle", hub.resident() / MB, "MB", 200.0);

    for n in (0..topics).step_by(usize::try_from(topics / 20).expect("small")) {
        let target = format!("/events?topic={}", store::topic(n));
        let before = EventId { epoch: filled.epoch, seq: gapless::event::Seq::ZERO };
        let events = wire::resume(hub.address, &target, before, EVENTS).events;
        let want = (0..EVENTS).map(|k| (k * topics + n + 1, k * topics + n));
        assert!(events.iter().copied().eq(want), "topic {n} is not what was published: {events:?}");
    }
    report.row("memory after 20 topics were read", hub.resident() / MB, "MB");
    sleep(rounds::sized(Duration::from_secs(80), Duration::from_secs(1)));
    report.below("memory, 80 s later", hub.resident() / MB, "MB", 200.0);
    report.finish();
}
