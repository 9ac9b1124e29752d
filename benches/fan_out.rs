//! **What does it cost to tell an event to many?**
//!
//! Microseconds of the server's CPU a delivery, publishing included, and milliseconds from handing an event in (or from
//! when it was due) to its delivery. Server on one processor, load on the other; 256 B an event; every contender a new
//! process in every round; ratios are of one round, the figure is the median. One event in flight: the next one is
//! published when every stream has the one before, so there is one write for each event and socket. Saturated: 64 in
//! flight. Paced: 500 events a second to 1,000 streams, whatever becomes of them. Spread: 1,000 topics of 10 streams, 32
//! publishers that wait. Nchan, floor, axum and node keep nothing on disk; durable-streams and the hub with sled do.
//!
//! 2026-11-22, 2 quiet cores: 4.2 / 5.8 us of CPU with 1,000 / 10,000 streams and one in flight (sled), 1.8 and 1.9
//! times Nchan's deliveries a CPU second, 0.92 of the floor; 0.12 us saturated, 60 and 72 times Nchan; 1,000 topics
//! 11.3 us (sled) and 9.1 us (memory), 1.1 and 1.4 times Nchan; 500 a second: p99 21 ms.

#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]

mod support;

use std::time::Duration;

use gapless::load::{Form, Load, LoadError, Outcome, Pace, Topics, Traffic, generator::Wants};
use support::{
    contender::{Contender, Cores, Kind},
    report::{Better, Compare, Report},
    rounds,
};

const BYTES: usize = 256;
const CPU: &str = "cpu per delivery";
const P99: &str = "latency p99";
const HUBS: [Kind; 2] = [Kind::Sled, Kind::Memory];

fn main() {
    if !support::asked() {
        return;
    }
    let mut report = Report::new("fan_out");
    rounds::make_room(10_000);
    for streams in rounds::sized(vec![1_000, 10_000], vec![200]) {
        // The floor has two faces: a send for each event, and all that has come in one.
        let mut kinds = vec![
            Kind::Sled,
            Kind::Memory,
            Kind::Floor,
            Kind::FloorBatch,
            Kind::Nchan,
            Kind::DurableStreams,
            Kind::Axum,
        ];
        // With ten thousand it says nothing new, and takes longer than all others together.
        if streams <= 1_000 {
            kinds.push(Kind::Node);
        }
        let case = Cases::of(streams);
        rounds::run(&mut report, &kinds, Cores::One, |contender, report| one_topic(contender, streams, &case, report));
        case.compare(&mut report);
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

/// Names of the cases with so many streams of one topic.
struct Cases {
    streams: usize,
    single: String,
    saturated: String,
    paced: String,
}

impl Cases {
    fn of(streams: usize) -> Self {
        Self {
            streams,
            single: format!("1 in flight, {streams} subscribers"),
            saturated: format!("64 in flight, {streams} subscribers"),
            paced: format!("500 events/s, {streams} subscribers"),
        }
    }

    fn compare(&self, report: &mut Report) {
        for hub in HUBS {
            let mut against = |other: Kind, compare| report.compare(hub.name(), other.name(), &compare);
            against(Kind::Nchan, per_cpu_second(&self.single, 1.35, 1.5));
            against(Kind::DurableStreams, per_cpu_second(&self.single, 1.3, 1.6));
            against(
                Kind::Floor,
                Compare {
                    case: &self.single,
                    measure: CPU,
                    tells: "cpu per delivery",
                    inverse: false,
                    better: Better::Lower,
                    reach: Some(1.08),
                    aim: Some(1.03),
                },
            );
            let aim = if self.streams < 5_000 { 25.0 } else { 70.0 };
            against(Kind::Nchan, per_cpu_second(&self.saturated, 15.0, aim));
            report.aim(
                hub.name(),
                &Compare {
                    case: &self.paced,
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

fn traffic(pace: Pace, form: Form) -> Traffic {
    Traffic { events: u64::MAX, time: rounds::interval(), pace, bytes: BYTES, form }
}

/// The hub's own way to hand in many; the others take a request for each.
fn many(contender: &Contender) -> Form {
    if contender.kind.is_ours() { Form::Lines } else { Form::Requests }
}

fn one_topic(contender: &Contender, streams: usize, case: &Cases, report: &mut Report) -> Result<(), LoadError> {
    let mut load = rounds::one_topic(contender, streams)?;
    let warm = Traffic { events: 20, ..traffic(Pace::Window(1), Form::Requests) };
    rounds::measured(contender, &mut load, &warm, report)?;
    if contender.kind != Kind::FloorBatch {
        let traffic = traffic(Pace::Window(1), Form::Requests);
        let (outcome, cpu) = rounds::measured(contender, &mut load, &traffic, report)?;
        figures(contender, &case.single, &outcome, cpu, report);
    }
    if contender.kind != Kind::Floor {
        let traffic = traffic(Pace::Window(64), many(contender));
        let (outcome, cpu) = rounds::measured(contender, &mut load, &traffic, report)?;
        figures(contender, &case.saturated, &outcome, cpu, report);
        report.sample(
            &case.saturated,
            contender.kind.name(),
            "deliveries",
            outcome.delivered_per_second() / 1e6,
            "million/s",
        );
    }
    // Beyond a thousand streams one processor of any of them has too much to do.
    if streams <= 1_000 && contender.kind != Kind::Floor {
        let time = rounds::sized(Duration::from_secs(2), rounds::interval());
        let traffic = Traffic { time, ..traffic(Pace::Rate(500.0), many(contender)) };
        let (outcome, cpu) = rounds::measured(contender, &mut load, &traffic, report)?;
        figures(contender, &case.paced, &outcome, cpu, report);
        let wanted = 500.0 * streams as f64;
        report.sample(
            &case.paced,
            contender.kind.name(),
            "of the deliveries wanted",
            100.0 * outcome.delivered_per_second() / wanted,
            "%",
        );
    }
    Ok(())
}

const SPREAD: &str = "1000 topics of 10 subscribers";

fn spread(contender: &Contender, report: &mut Report) -> Result<(), LoadError> {
    let count = rounds::sized(1_000, 50);
    let topics = Topics { names: (0..count).map(|n| format!("topic-{n}")).collect(), publishers: 32 };
    let mut load = Load::new(contender.target.clone(), topics.clone())?;
    load.subscribe(10 * count, |n| Wants::topic(&topics, n % count))?;
    let warm = Traffic { events: 2 * count as u64, ..traffic(Pace::Window(1), Form::Requests) };
    rounds::measured(contender, &mut load, &warm, report)?;
    let (outcome, cpu) = rounds::measured(contender, &mut load, &traffic(Pace::Window(1), Form::Requests), report)?;
    figures(contender, SPREAD, &outcome, cpu, report);
    Ok(())
}

fn figures(contender: &Contender, case: &str, outcome: &Outcome, cpu: f64, report: &mut Report) {
    let name = contender.kind.name();
    report.sample(case, name, CPU, cpu * 1e6 / outcome.delivered as f64, "us");
    report.sample(case, name, "latency p50", outcome.latency_ms(50.0), "ms");
    report.sample(case, name, P99, outcome.latency_ms(99.0), "ms");
    report.sample(case, name, "latency p999", outcome.latency_ms(99.9), "ms");
}
