//! **How long does a client that lost its connection wait for the events that it missed?**
//!
//! 1,000,000 events of 256 B over 10,000 topics in the store; the hub has just started, so its rings are empty. A
//! client connects with the id of a topic's sixth event from the end and receives five. Milliseconds from before the
//! connection is opened. Target: the first event's first byte within 10 ms at p99. The file system's cache is warm.

mod support;

use gapless::event::{EventId, Seq};
use support::{hub::Hub, report::Report, rounds, store, wire};

const TOPICS: u64 = 10_000;
const BYTES: usize = 256;
const MISSED: u64 = 5;

fn main() {
    if !support::asked() {
        return;
    }
    let dir = support::directory();
    let data = dir.path().join("store");
    let (events, times) = rounds::sized((1_000_000, 2_000), (100_000, 50));
    let filled = store::fill(&data, TOPICS, events, BYTES);
    let hub = Hub::start(&data);
    let mut random = fastrand::Rng::with_seed(1);
    let (mut head, mut first, mut last) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..times {
        let n = random.u64(0..TOPICS);
        let seqs: Vec<u64> = (0..=MISSED).rev().map(|k| events - (k + 1) * TOPICS + n + 1).collect();
        let cursor = EventId { epoch: filled.epoch, seq: Seq(seqs[0]) };
        let resumed = wire::resume(hub.address, &format!("/events?topic={}", store::topic(n)), cursor, MISSED);
        let want = seqs[1..].iter().map(|seq| (*seq, seq - 1));
        assert!(resumed.events.iter().copied().eq(want), "lost, duplicated or out of order: {:?}", resumed.events);
        head.push(resumed.head.as_secs_f64() * 1e3);
        first.push(resumed.first.as_secs_f64() * 1e3);
        last.push(resumed.last.as_secs_f64() * 1e3);
    }
    let mut report = Report::new("resume");
    for (what, mut took) in [("head of the answer", head), ("first event", first), ("all five events", last)] {
        took.sort_by(f64::total_cmp);
        report.row(format!("{what}, p50"), took[times / 2], "ms");
        report.below(format!("{what}, p99"), took[times * 99 / 100], "ms", 5.0);
    }
    report.finish();
}
