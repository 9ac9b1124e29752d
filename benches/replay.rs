//! **What does it cost to tell what was before?**
//!
//! 19,000 events of 256 B are published to one topic; then 50 clients come at once and ask for all of them: microseconds
//! of the server's CPU a replayed event, and events a second. Server on one processor, load on the other. The hub keeps
//! the newest 1 MiB of a topic in its ring and the rest in its store, whose pages the file system has cached; Nchan
//! has all of them in memory.
//!
//! 2026-11-22, 2 quiet cores: 0.09 us (sled and memory), Nchan 7.4 us, durable-streams 0.65 us.

#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]

mod support;

use std::time::{Duration, Instant};

use gapless::load::{Form, Load, LoadError, Pace, Topics, Traffic, dialect::From, generator::Wants};
use support::{
    contender::{Contender, Cores, Kind},
    report::{Better, Compare, Report},
    rounds,
};

const CPU: &str = "cpu per event";

fn main() {
    if !support::asked() {
        return;
    }
    let mut report = Report::new("replay");
    rounds::make_room(1_000);
    let (clients, events) = rounds::sized((50, 19_000), (5, 2_000));
    let case = format!("{clients} clients, {events} events each");
    let kinds = [Kind::Sled, Kind::Memory, Kind::Nchan, Kind::DurableStreams];
    rounds::run(&mut report, &kinds, Cores::One, |contender, report| replay(contender, clients, events, &case, report));
    for (hub, reach, aim) in [(Kind::Memory, 0.1, 0.04), (Kind::Sled, 0.3, 0.1)] {
        let compare = Compare {
            case: &case,
            measure: CPU,
            tells: "cpu per event, us",
            inverse: false,
            better: Better::Lower,
            reach: Some(reach),
            aim: Some(aim),
        };
        report.aim(hub.name(), &compare);
        for other in [Kind::Nchan, Kind::DurableStreams] {
            let (tells, better, reach, aim) = ("events per CPU second", Better::Higher, None, None);
            let compare = Compare { case: &case, measure: CPU, tells, inverse: true, better, reach, aim };
            report.compare(hub.name(), other.name(), &compare);
        }
    }
    report.finish();
}

fn replay(
    contender: &Contender,
    clients: usize,
    events: u64,
    case: &str,
    report: &mut Report,
) -> Result<(), LoadError> {
    let topics = Topics { names: vec!["news".into()], publishers: 1 };
    let mut load = Load::new(contender.target.clone(), topics.clone())?;
    let form = if contender.kind.is_ours() { Form::Lines } else { Form::Requests };
    let (time, pace) = (Duration::from_mins(1), Pace::Window(256));
    rounds::measured(contender, &mut load, &Traffic { events, time, pace, bytes: 256, form }, report)?;

    // The hub is to be warm, not its client: the first replay is not counted.
    let mut first = true;
    for count in [1, clients] {
        let (before, begun) = (contender.used(), Instant::now());
        load.subscribe(count, |_| Wants { from: From::Earliest, ..Wants::topic(&topics, 0) })?;
        let faults = load.settle()?;
        let (cpu, time) = (contender.cpu(&before), begun.elapsed().as_secs_f64());
        rounds::judge(contender, &faults, report);
        if !std::mem::take(&mut first) {
            let all = (count as u64 * events) as f64;
            report.sample(case, contender.kind.name(), CPU, cpu * 1e6 / all, "us");
            report.sample(case, contender.kind.name(), "events", all / time / 1e6, "million/s");
        }
    }
    Ok(())
}
