//! **What do hubs over NATS JetStream cost, and how far do they scale?**
//!
//! Three NATS servers on this machine, each stream with three replicas, `sync_interval: always`; one, two or three hubs
//! over one stream, beside one hub over sled and beside async-nats, which publishes to a stream of its own with the
//! same replicas. 256 B per event; nothing is pinned to a processor, and servers, hubs and load share all of them: a
//! machine of two processors is full long before three would be, so that CPU and the ratios within a round say more
//! than rates. CPU is that of the hubs, and of the three servers, for all that they did meanwhile. One in flight:
//! milliseconds from a POST to its receipt, and to its delivery by another hub (of sled: by the same one; of NATS: to an
//! ordered consumer at another server). Publishes: 16 topics, a connection for each event in flight. Fan-out: 15,000
//! streams of one topic, 5,000 at each of three hubs, beside 15,000 at one over sled. Followers: CPU and memory of hubs
//! without clients. Topics: 1,000,000 of one event each. Selections: 10,000 streams of one hub, each of another topic.
//! Replay: 19,000 events of one topic to 50 clients of a hub that has just started; what the servers send for that,
//! beside one client, and beside 50 ordered consumers.
//!
//! 2026-11-27, 2 cores beside builds and fault tests (load averages of 13 to 18): a receipt 1.3 ms (sled 0.35, NATS
//! 0.95), 23 us a POST at the hub with 512 in flight (sled 17) and 32 us at the servers (NATS alone 26); a delivery 1.1
//! times sled's CPU; following 7 to 10 us an event; 50 replays 0.044 of the bytes of 50 consumers; a million topics 180 B
//! each, 20 s and 992 MB to start a hub, 3.3 s to take over.
//!
//! `JETSTREAM_PARTS=latency,replay` measures only these parts.

#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]

mod centrifugo;
mod cluster;
mod fan_out;
mod followers;
mod latency;
#[path = "../../tests/support/nats_cluster.rs"]
mod nats_cluster;
mod plain;
mod rates;
mod replay;
mod selections;
#[path = "../support/mod.rs"]
mod support;
mod topics;

use gapless::load::{LoadMode, LoadPlan, PublishMode};
use support::{report::Report, rounds};

use crate::cluster::Site;

const SLED: &str = "gapless (sled)";
const JETSTREAM: &str = "gapless (jetstream)";
const NATS: &str = "nats";

const BYTES: usize = 256;
const TOPICS: usize = 16;
const MB: f64 = 1e6;

/// A part of the bench.
type Part = fn(&Site, &mut Report);

/// The parts, in the order in which they are measured.
const PARTS: [(&str, Part); 8] = [
    ("latency", latency::measure),
    ("rates", rates::measure),
    ("fan_out", fan_out::measure),
    ("centrifugo", centrifugo::measure),
    ("followers", followers::measure),
    ("selections", selections::measure),
    ("replay", replay::measure),
    ("topics", topics::measure),
];

fn main() {
    if !support::asked() {
        return;
    }
    rounds::raise_limit(fan_out::STREAMS + 1_000);
    let chosen = std::env::var("JETSTREAM_PARTS").ok();
    let is_chosen = |name: &str| chosen.as_ref().is_none_or(|chosen| chosen.split(',').any(|part| part == name));
    let mut report = Report::new("jetstream");
    let site = Site::start();
    plain::create(&site);
    for (name, part) in PARTS.iter().filter(|(name, _)| is_chosen(name)) {
        // Progress, because a bench takes minutes.
        eprintln!("jetstream: {name}");
        part(&site, &mut report);
    }
    report.finish();
}

/// Requests of [`BYTES`] in a closed loop, one in flight on each connection.
fn requests() -> LoadPlan {
    let (pace, form) = (LoadMode::Window(1), PublishMode::Requests);
    LoadPlan { events: u64::MAX, time: rounds::interval(), pace, bytes: BYTES, form }
}
