//! **What does a stream of several topics cost?**
//!
//! 1,000 streams of the hub, one event in flight, published to 10 topics in turn. Microseconds of the hub's CPU per
//! delivery when every stream subscribes to one topic (which gets every event), to a pattern that matches the 10, or
//! to the 10 by name. Ratios to the single topic, within one round.

#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]

mod support;

use gapless::load::{Load, LoadError, LoadMode, LoadPlan, LoadTopics, PublishMode, Wants, dialect::StartAt};
use support::{
    contender::{Contender, Cores, Kind},
    report::{Better, Ratio, Report},
    rounds,
};

const CASES: [&str; 3] = ["one topic", "a pattern over 10 topics", "10 topics by name"];
const CPU: &str = "cpu per delivery";

fn main() {
    if !support::asked() {
        return;
    }
    let mut report = Report::new("patterns");
    rounds::raise_limit(4_000);
    for kind in [Kind::Sled, Kind::Memory] {
        let mut ratios = [Vec::new(), Vec::new()];
        rounds::run(&mut report, &[kind], Cores::One, |contender, report| {
            let mut figures = [0.0; 3];
            for (figure, case) in figures.iter_mut().zip(CASES) {
                *figure = one_in_flight(contender, case, report)?;
                report.sample(case, contender.kind.name(), CPU, *figure, "us");
            }
            for (ratios, figure) in ratios.iter_mut().zip(&figures[1..]) {
                ratios.push(figure / figures[0]);
            }
            Ok(())
        });
        for (values, case) in ratios.into_iter().zip(&CASES[1..]) {
            let (case, measure) = ((*case).to_owned(), "cpu per delivery, of one topic's");
            let (reach, aim, better) = (Some(1.5), Some(1.1), Better::Lower);
            report.ratio(Ratio { case, measure, of: kind.name(), to: None, values, reach, aim, better });
        }
    }
    report.finish();
}

/// Microseconds a delivery.
fn one_in_flight(contender: &Contender, case: &str, report: &mut Report) -> Result<f64, LoadError> {
    let streams = rounds::sized(1_000, 100);
    let count = if case == CASES[0] { 1 } else { 10 };
    // Each case has topic names of its own, so that no case uses another's rings.
    let room = case.replace(' ', "-");
    let names: Vec<String> = (0..count).map(|n| format!("{room}/{n}")).collect();
    let select = if case == CASES[1] { vec![format!("{room}/*")] } else { names.clone() };
    let mut load = Load::new(contender.target.clone(), LoadTopics { names, publishers: 1 })?;
    load.subscribe(streams, |_| Wants { select: select.clone(), topics: 0..count, from: StartAt::Now })?;
    let (time, pace, form) = (rounds::interval(), LoadMode::Window(1), PublishMode::Requests);
    let traffic = LoadPlan { events: u64::MAX, time, pace, bytes: 256, form };
    rounds::measured(contender, &mut load, &LoadPlan { events: 20, ..traffic }, report)?;
    let (outcome, cpu) = rounds::measured(contender, &mut load, &traffic, report)?;
    Ok(cpu * 1e6 / outcome.delivered as f64)
}
