//! **Do streams that do not read slow down the others?**
//!
//! 100 streams of one topic, 4 KiB x 400 events a second. After two seconds 20 of them stop reading for six seconds,
//! then read again. Milliseconds from when an event was due to its delivery to the 80 others, before and meanwhile;
//! megabytes by which the server's memory grew; and whether the 20 received all events in the end.

mod support;

use std::time::Duration;

use gapless::load::{LoadError, LoadMode, LoadPlan, PublishMode};
use support::{
    contender::{Contender, Cores, Kind},
    report::{Better, Compare, Report},
    rounds,
};

const STREAMS: usize = 100;
const STALLED: usize = 20;
const CASE: &str = "20 of 100 stop reading";
const BEFORE: &str = "latency p99 of the others, before";
const DURING: &str = "latency p99 of the others, meanwhile";
const RISE: &str = "latency p99 of the others, meanwhile of before";

fn main() {
    if !support::asked() {
        return;
    }
    let mut report = Report::new("slow");
    rounds::raise_limit(1_000);
    let kinds = [Kind::Sled, Kind::Memory, Kind::Nchan, Kind::DurableStreams, Kind::Axum, Kind::Node];
    rounds::run(&mut report, &kinds, Cores::One, slow);
    for hub in [Kind::Sled, Kind::Memory] {
        let (tells, inverse, better) = ("latency p99 of the others, of what it was before", false, Better::Lower);
        let (reach, aim) = (None, None);
        report.aim(hub.name(), &Compare { case: CASE, measure: RISE, tells, inverse, better, reach, aim });
    }
    report.finish();
}

fn slow(contender: &Contender, report: &mut Report) -> Result<(), LoadError> {
    let mut load = rounds::one_topic(contender, STREAMS)?;
    let form = if contender.kind.is_ours() { PublishMode::Lines } else { PublishMode::Requests };
    let paced = |seconds| LoadPlan {
        events: u64::MAX,
        time: rounds::sized(Duration::from_secs(seconds), Duration::from_secs(1)),
        pace: LoadMode::Rate(400.0),
        bytes: 4096,
        form,
    };
    let name = contender.kind.name();
    let (before, _) = rounds::measured(contender, &mut load, &paced(2), report)?;
    let memory = contender.resident();
    load.stall(0..STALLED);
    let (during, _) = rounds::measured(contender, &mut load, &paced(6), report)?;
    report.sample(CASE, name, BEFORE, before.latency_ms(99.0), "ms");
    report.sample(CASE, name, DURING, during.latency_ms(99.0), "ms");
    report.sample(CASE, name, RISE, during.latency_ms(99.0) / before.latency_ms(99.0), "x");
    report.sample(CASE, name, "latency p50 of the others, before", before.latency_ms(50.0), "ms");
    report.sample(CASE, name, "latency p50 of the others, meanwhile", during.latency_ms(50.0), "ms");
    report.sample(CASE, name, "memory grown", (contender.resident() - memory) / 1e6, "MB");

    load.wake(0..STALLED)?;
    let faults = load.settle()?;
    rounds::check_faults(contender, &faults, report);
    report.sample(CASE, name, "deliveries lost", number(faults.lost), "");
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn number(count: u64) -> f64 {
    count as f64
}
