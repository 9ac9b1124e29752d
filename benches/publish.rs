//! **What does publishing over HTTP cost?**
//!
//! Over HTTP: events a second on one NDJSON connection with 4,096 on their way, and as POSTs of 64 connections that stay
//! open, each waiting for its receipt. 256 B an event. What of that is the engine's: `durable`.
//!
//! 2026-11-21, 2 cores and a disk shared with four builds, without LTO: NDJSON 128,000 events/s at 4.6 us of CPU, POST
//! 21,000 events/s at 24.5 us.

#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]

mod support;

use std::time::Instant;

use support::{block_on, hub::Hub, report::Report, wire::Publisher};

const BYTES: usize = 256;

fn main() {
    if !support::asked() {
        return;
    }
    let mut report = Report::new("publish");
    let dir = support::directory();
    let hub = Hub::start(&dir.path().join("hub"));
    let publisher = Publisher::new(hub.address, "news", BYTES);
    let mut over_http = |what: &str, events: u64, publish: &mut dyn FnMut()| {
        let (begun, cpu) = (Instant::now(), hub.cpu());
        publish();
        report.row(format!("HTTP, {what}"), events as f64 / begun.elapsed().as_secs_f64(), "events/s");
        report.row(format!("HTTP, {what}: CPU"), (hub.cpu() - cpu) * 1e6 / events as f64, "us/event");
    };
    over_http("one NDJSON connection", 200_000, &mut || block_on(publisher.pour(0..200_000, 4096)));
    over_http("64 connections that POST", 20_000, &mut || block_on(publisher.post(0..20_000, 64)));
    report.finish();
}
