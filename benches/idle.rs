//! **How much memory does an idle stream take?**
//!
//! 10,000 open streams of one topic to which nothing is published: KiB of each contender's own memory per stream
//! (proportional set size, before and after they connected; what the kernel holds for a socket is the same for all and
//! not included), once when they are connected and once when each has received ten events. Milliseconds of CPU per
//! second while they are idle.

mod support;

use support::{
    contender::{Cores, Kind},
    questions::{self, EACH},
    report::{Better, Compare, Report},
    rounds,
};

fn main() {
    if !support::asked() {
        return;
    }
    let mut report = Report::new("idle");
    rounds::raise_limit(10_000);
    let streams = rounds::sized(10_000, 500);
    let kinds = [Kind::Sled, Kind::Memory, Kind::Floor, Kind::Nchan, Kind::DurableStreams, Kind::Axum, Kind::Node];
    let cases = questions::idle_cases(streams);
    rounds::run(&mut report, &kinds, Cores::One, |contender, report| {
        questions::idle(contender, streams, &cases, report)
    });
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
