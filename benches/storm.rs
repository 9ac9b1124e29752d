//! **How long until all clients have caught up when all disconnect at once?**
//!
//! 5,000 streams of one topic that gets 50 events a second lose their connections at the same moment and reconnect
//! with the id of the last event that they received, as fast as the server accepts them (500 connections in progress
//! at a time). Seconds until the last of them has received all that it missed, and the server's CPU per client. No
//! client may miss an event or receive one twice. The server has every processor, shared with the load.

#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]

mod support;

use std::{thread::sleep, time::Duration};

use gapless::load::{LoadError, LoadMode, LoadPlan, PublishMode};
use support::{
    contender::{Contender, Cores, Kind},
    report::{Better, Compare, Report},
    rounds,
};

const ALL_BACK: &str = "until all had all";

fn main() {
    if !support::asked() {
        return;
    }
    let mut report = Report::new("storm");
    rounds::raise_limit(6_000);
    let clients = rounds::sized(5_000, 300);
    let case = format!("{clients} clients, 50 events/s");
    let kinds = [Kind::Sled, Kind::Memory, Kind::Nchan];
    rounds::run(&mut report, &kinds, Cores::All, |contender, report| storm(contender, clients, &case, report));
    for hub in [Kind::Sled, Kind::Memory] {
        let (reach, aim) = (Some(0.5), Some(0.3));
        let (tells, inverse, better) = ("seconds until all had all", false, Better::Lower);
        report.aim(hub.name(), &Compare { case: &case, measure: ALL_BACK, tells, inverse, better, reach, aim });
        let (tells, inverse, better) = ("time", true, Better::Higher);
        let compare = Compare { case: &case, measure: ALL_BACK, tells, inverse, better, reach: None, aim: None };
        report.compare(hub.name(), Kind::Nchan.name(), &compare);
    }
    report.finish();
}

fn storm(contender: &Contender, clients: usize, case: &str, report: &mut Report) -> Result<(), LoadError> {
    let mut load = rounds::one_topic(contender, clients)?;
    let (pace, form) = (LoadMode::Rate(50.0), PublishMode::Requests);
    let paced = |time| LoadPlan { events: u64::MAX, time, pace, bytes: 256, form };
    rounds::measured(contender, &mut load, &paced(Duration::from_millis(500)), report)?;

    load.leave(0..clients);
    // The server has noticed the disconnects, and half a second of events has been missed.
    sleep(Duration::from_millis(100));
    rounds::measured(contender, &mut load, &paced(Duration::from_millis(500)), report)?;
    load.come_back(0..clients);
    let time = rounds::sized(Duration::from_secs(4), Duration::from_secs(1));
    let (outcome, cpu) = rounds::measured(contender, &mut load, &paced(time), report)?;
    let name = contender.kind.name();
    match outcome.caught_up {
        Some(took) => report.sample(case, name, ALL_BACK, took.as_secs_f64(), "s"),
        None => report.note(format!("{name}: not all came back")),
    }
    report.sample(case, name, "cpu per client, with what it was sent", cpu * 1e6 / clients as f64, "us");
    report.sample(case, name, "deliveries", outcome.delivered as f64, "");
    Ok(())
}
