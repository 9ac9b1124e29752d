//! **What does it cost to tell an event to many?**
//!
//! 1,000 and 5,000 subscribers on one topic of a hub with sled, all on this machine. Microseconds of the hub's CPU a
//! delivery (publish and flush included), one event in flight and 64 in flight; milliseconds from handing the event in to
//! its delivery, one in flight, the load generator's own work included; bytes of memory an idle subscriber.
//!
//! 2026-11-21, 2 cores shared with four builds, without LTO: 6.7 us (1,000) and 8.3 us (5,000) with one in flight,
//! 0.4 us with 64; delivered within 4.8 ms (p50) and 13 ms (p99) to 1,000, 58 ms and 170 ms to 5,000; 10.8 KB each.

#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]

mod support;

use gapless::lifecycle::descriptors;
use support::{
    hub::Hub,
    report::Report,
    wire::{self, Audience, Publisher},
};

const TOPIC: &str = "news";
const BYTES: usize = 256;
/// Deliveries measured with one in flight, and with 64: enough ticks of CPU time.
const DELIVERIES: u64 = 300_000;
const IN_FLIGHT: u64 = 64;

fn main() {
    if !support::asked() {
        return;
    }
    let mut report = Report::new("fan_out");
    for subscribers in [1_000, 5_000] {
        assert_eq!(descriptors::make_room(2 * subscribers), None, "raise the limit on open files (ulimit -n)");
        let dir = support::directory();
        let hub = Hub::start(&dir.path().join("store"));
        support::block_on(measure(&hub, subscribers as u64, &mut report));
    }
    report.finish();
}

async fn measure(hub: &Hub, subscribers: u64, report: &mut Report) {
    let before = hub.resident();
    let audience = Audience::open(hub.address, subscribers, |_| TOPIC.into()).await;
    report.row(format!("{subscribers} idle: memory of each"), (hub.resident() - before) / subscribers as f64, "bytes");

    let events = DELIVERIES / subscribers;
    let mut socket = wire::connect(hub.address).await;
    let cpu = hub.cpu();
    for n in 0..events {
        audience.expect(1);
        audience.time();
        wire::post(&mut socket, TOPIC, &support::payload(n, BYTES)).await;
        audience.heard().await;
    }
    let a_delivery = |seconds: f64, events: u64| seconds * 1e6 / (events * subscribers) as f64;
    report.row(format!("{subscribers}, 1 in flight: CPU a delivery"), a_delivery(hub.cpu() - cpu, events), "us");
    let mut times = audience.times();
    times.sort_unstable();
    for (percent, at) in [(50, times.len() / 2), (99, times.len() * 99 / 100)] {
        report.row(format!("{subscribers}, 1 in flight: delivered, p{percent}"), times[at].as_secs_f64() * 1e3, "ms");
    }

    let more = (3 * DELIVERIES / subscribers).next_multiple_of(IN_FLIGHT);
    let cpu = hub.cpu();
    audience.expect(more);
    Publisher::new(hub.address, TOPIC, BYTES).pour(events..events + more, IN_FLIGHT).await;
    audience.heard().await;
    report.row(
        format!("{subscribers}, {IN_FLIGHT} in flight: CPU a delivery"),
        a_delivery(hub.cpu() - cpu, more),
        "us",
    );
}
