//! **What does a connection cost that waits?**
//!
//! 10,000 open streams of one topic to which nothing is sent: kilobytes of each contender's own memory a stream
//! (proportional set size, before and after they came; what the kernel holds for a socket is the same for all and not in
//! it), once when they are connected and once when each has heard ten events. Milliseconds of CPU a second while they
//! wait.
//!
//! 2026-11-22, 2 quiet cores: 1.1 KiB (sled and memory); Nchan 10.0 and, after 10 events, 14.0.

#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]

mod support;

use std::{thread::sleep, time::Duration};

use gapless::load::{Form, LoadError, Pace, Traffic};
use support::{
    contender::{Contender, Cores, Kind},
    report::{Better, Compare, Report},
    rounds,
};

const KIB: f64 = 1024.0;
const EACH: &str = "memory per stream";

fn main() {
    if !support::asked() {
        return;
    }
    let mut report = Report::new("idle");
    rounds::make_room(10_000);
    let streams = rounds::sized(10_000, 500);
    let kinds = [Kind::Sled, Kind::Memory, Kind::Floor, Kind::Nchan, Kind::DurableStreams, Kind::Axum, Kind::Node];
    let cases = [format!("{streams} streams connected"), format!("{streams} streams after 10 events")];
    rounds::run(&mut report, &kinds, Cores::One, |contender, report| idle(contender, streams, &cases, report));
    for case in &cases {
        let aim = Compare {
            case,
            measure: EACH,
            tells: "memory per stream, KiB",
            inverse: false,
            better: Better::Lower,
            reach: Some(1.5),
            aim: Some(0.8),
        };
        report.aim(Kind::Sled.name(), &aim);
        report.aim(Kind::Memory.name(), &aim);
    }
    report.finish();
}

fn idle(contender: &Contender, streams: usize, cases: &[String; 2], report: &mut Report) -> Result<(), LoadError> {
    let name = contender.kind.name();
    // What is there once, however many come, is there after the first few.
    let warm = rounds::one_topic(contender, 20)?;
    settle();
    let before = contender.resident();
    drop(warm);

    let mut load = rounds::one_topic(contender, streams)?;
    settle();
    report.sample(&cases[0], name, EACH, (contender.resident() - before) / streams as f64 / KIB, "KiB");
    let used = contender.used();
    sleep(Duration::from_secs(1));
    report.sample(&cases[0], name, "cpu while idle", contender.cpu(&used) * 1e3, "ms/s");

    let (time, pace, form) = (Duration::from_secs(30), Pace::Window(1), Form::Requests);
    let traffic = Traffic { events: 10, time, pace, bytes: 256, form };
    rounds::measured(contender, &mut load, &traffic, report)?;
    settle();
    report.sample(&cases[1], name, EACH, (contender.resident() - before) / streams as f64 / KIB, "KiB");
    Ok(())
}

/// Lets what was freed be given back, and what was begun be done.
fn settle() {
    sleep(rounds::sized(Duration::from_secs(1), Duration::from_millis(300)));
}
