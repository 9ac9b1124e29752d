//! **What does it cost to deliver an event to many streams?**
//!
//! Microseconds of the server's CPU per delivery, publishing included, and milliseconds from submitting an event (or
//! from when it was due) to its delivery. Server on one processor, load on the other; 256 B per event; every contender
//! a new process in every round; ratios are within one round, the figure is the median. One event in flight: the next
//! one is published when every stream has received the one before, so there is one write for each event and socket.
//! Saturated: 64 in flight. Paced: 500 events a second to 1,000 streams, whether or not the streams keep up. Spread:
//! 1,000 topics of 10 streams, 32 publishers with one request in flight each. Nchan, floor, axum and node keep nothing
//! on disk; durable-streams and the hub with sled do.

mod support;

use gapless::load::{Load, LoadError, LoadMode, LoadPlan, LoadTopics, PublishMode, Wants};
use support::{
    contender::{Contender, Cores, Kind},
    questions::{self, CPU, Cases, P99, traffic},
    report::{Better, Compare, Report},
    rounds,
};

const HUBS: [Kind; 2] = [Kind::Sled, Kind::Memory];

fn main() {
    if !support::asked() {
        return;
    }
    let mut report = Report::new("fan_out");
    rounds::raise_limit(10_000);
    for streams in rounds::sized(vec![1_000, 10_000], vec![200]) {
        // Two variants of the floor: one send per event, and one send for everything that is pending.
        let mut kinds = vec![
            Kind::Sled,
            Kind::Memory,
            Kind::Floor,
            Kind::FloorBatch,
            Kind::Nchan,
            Kind::DurableStreams,
            Kind::Axum,
        ];
        // With ten thousand streams it shows nothing new and takes longer than all others together.
        if streams <= 1_000 {
            kinds.push(Kind::Node);
        }
        let case = Cases::of(streams);
        rounds::run(&mut report, &kinds, Cores::One, |contender, report| questions::fan_out(contender, &case, report));
        compare(&case, &mut report);
    }
    let kinds = [Kind::Sled, Kind::Memory, Kind::Floor, Kind::Nchan, Kind::DurableStreams, Kind::Axum, Kind::Node];
    rounds::run(&mut report, &kinds, Cores::One, spread);
    for hub in HUBS {
        report.compare(hub.name(), Kind::Nchan.name(), &per_cpu_second(SPREAD, 1.3, 1.45));
    }
    report.note(
        "s2-lite is not measured: it stands on slatedb and the AWS SDK, whose build takes longer than all of this",
    );
    report.finish();
}

fn compare(cases: &Cases, report: &mut Report) {
    for hub in HUBS {
        let mut against = |other: Kind, compare| report.compare(hub.name(), other.name(), &compare);
        against(Kind::Nchan, per_cpu_second(&cases.single, 1.35, 1.5));
        against(Kind::DurableStreams, per_cpu_second(&cases.single, 1.3, 1.6));
        against(
            Kind::Floor,
            Compare {
                case: &cases.single,
                measure: CPU,
                tells: "cpu per delivery",
                inverse: false,
                better: Better::Lower,
                reach: Some(1.08),
                aim: Some(1.03),
            },
        );
        let aim = if cases.streams < 5_000 { 25.0 } else { 70.0 };
        against(Kind::Nchan, per_cpu_second(&cases.saturated, 15.0, aim));
        let Some(paced) = &cases.paced else { continue };
        report.aim(
            hub.name(),
            &Compare {
                case: paced,
                measure: P99,
                tells: "latency p99, ms",
                inverse: false,
                better: Better::Lower,
                reach: Some(15.0),
                aim: Some(10.0),
            },
        );
    }
}

fn per_cpu_second(case: &str, reach: f64, aim: f64) -> Compare<'_> {
    Compare {
        case,
        measure: CPU,
        tells: "deliveries per CPU second",
        inverse: true,
        better: Better::Higher,
        reach: Some(reach),
        aim: Some(aim),
    }
}

const SPREAD: &str = "1000 topics of 10 subscribers";

fn spread(contender: &Contender, report: &mut Report) -> Result<(), LoadError> {
    let count = rounds::sized(1_000, 50);
    let topics = LoadTopics { names: (0..count).map(|n| format!("topic-{n}")).collect(), publishers: 32 };
    let mut load = Load::new(contender.target.clone(), topics.clone())?;
    load.subscribe(10 * count, |n| Wants::topic(&topics, n % count))?;
    let warm = LoadPlan { events: 2 * count as u64, ..traffic(LoadMode::Window(1), PublishMode::Requests) };
    rounds::measured(contender, &mut load, &warm, report)?;
    let (outcome, cpu) =
        rounds::measured(contender, &mut load, &traffic(LoadMode::Window(1), PublishMode::Requests), report)?;
    questions::delivered(contender, SPREAD, &outcome, cpu, report);
    Ok(())
}
