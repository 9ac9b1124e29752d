//! **Does what nobody uses cost those who publish?**
//!
//! A hub with 1,000,000 idle topics in its store and 5,000 subscribers of other topics who hear nothing, against an empty
//! one. One NDJSON connection with 64 events on their way publishes to each in turn; microseconds of the hub's CPU an
//! event, and events a second. The ratios are medians of the rounds. Target: the CPU within 10 %.
//!
//! 2026-11-21, 2 cores shared with four builds, without LTO: CPU 1.00 times an empty hub's (9.0 us), rate 1.24 times.

#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]

mod support;

use std::time::Instant;

use gapless::lifecycle::descriptors;
use support::{
    hub::Hub,
    median,
    report::Report,
    store,
    wire::{Audience, Publisher},
};

const TOPICS: u64 = 1_000_000;
const SUBSCRIBERS: usize = 5_000;
const BYTES: usize = 64;
const ROUNDS: u64 = 9;
const EVENTS: u64 = 10_000;

fn main() {
    if !support::asked() {
        return;
    }
    assert_eq!(descriptors::make_room(2 * SUBSCRIBERS), None, "raise the limit on open files (ulimit -n)");
    let dir = support::directory();
    let data = dir.path().join("full");
    store::fill(&data, TOPICS, TOPICS, BYTES);
    let hubs = [Hub::start(&dir.path().join("empty")), Hub::start(&data)];
    let (mut cpu, mut rate) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    support::block_on(async {
        // Nothing is expected of them: an event they hear fails the bench.
        let _idle = Audience::open(hubs[1].address, SUBSCRIBERS as u64, |n| format!("idle/{n}")).await;
        for round in 0..ROUNDS {
            for (index, hub) in hubs.iter().enumerate() {
                let (begun, before) = (Instant::now(), hub.cpu());
                let range = round * EVENTS..(round + 1) * EVENTS;
                Publisher::new(hub.address, "news", BYTES).pour(range, 64).await;
                rate[index].push(EVENTS as f64 / begun.elapsed().as_secs_f64());
                cpu[index].push((hub.cpu() - before) * 1e6 / EVENTS as f64);
            }
        }
    });
    let ratio = |of: &[Vec<f64>; 2]| median(of[1].iter().zip(&of[0]).map(|(full, empty)| full / empty).collect());
    let mut report = Report::new("quiet");
    report.below("CPU a publish, of an empty hub's", ratio(&cpu), "", 1.1);
    report.row("publishes a second, of an empty hub's", ratio(&rate), "");
    for (index, what) in ["empty", "full"].into_iter().enumerate() {
        report.row(format!("{what}: CPU a publish"), median(cpu[index].clone()), "us");
        report.row(format!("{what}: publishes"), median(rate[index].clone()), "events/s");
    }
    report.finish();
}
