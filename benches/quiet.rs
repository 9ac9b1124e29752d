//! **Do idle topics and streams make publishing more expensive?**
//!
//! A hub with 1,000,000 idle topics in its store and 5,000 idle subscribers of other topics, against an empty one. One
//! NDJSON connection with 64 events in flight publishes to each in turn; microseconds of the hub's CPU per event, and
//! events a second. The ratios are medians of the rounds. Target: the CPU within 10 %.

#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]

mod support;

use std::time::Duration;

use gapless::load::{
    Load, LoadError, LoadMode, LoadPlan, LoadTopics, PeerDialect, PublishMode, Wants, dialect::Target,
};
use support::{hub::Hub, median, report::Report, rounds, store};

const SUBSCRIBERS: usize = 5_000;
const BYTES: usize = 64;
const ROUNDS: usize = 9;
const EVENTS: u64 = 50_000;

fn main() {
    if !support::asked() {
        return;
    }
    rounds::raise_limit(SUBSCRIBERS);
    let dir = support::directory();
    let data = dir.path().join("full");
    let topics = rounds::sized(1_000_000, 10_000);
    store::fill(&data, topics, topics, BYTES);
    let hubs = [Hub::start(&dir.path().join("empty")), Hub::start(&data)];
    let (mut cpu, mut rate) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    measure(&hubs, &mut cpu, &mut rate).expect("the hub serves");
    let ratio = |of: &[Vec<f64>; 2]| median(of[1].iter().zip(&of[0]).map(|(full, empty)| full / empty).collect());
    let mut report = Report::new("quiet");
    report.below("CPU a publish, of an empty hub's", ratio(&cpu), "", 1.1);
    report.row("publishes a second, of an empty hub's", ratio(&rate), "");
    for (index, what) in ["empty", "full"].into_iter().enumerate() {
        report.row(format!("{what}: CPU a publish"), median(cpu[index].clone()), "us");
        report.row(format!("{what}: publishes"), median(rate[index].clone()), "events/s");
    }
    report.finish();
}

fn measure(hubs: &[Hub; 2], cpu: &mut [Vec<f64>; 2], rate: &mut [Vec<f64>; 2]) -> Result<(), LoadError> {
    let target = |hub: &Hub| Target::new(hub.address, PeerDialect::Gapless);
    let idle = LoadTopics { names: (0..SUBSCRIBERS).map(|n| format!("idle/{n}")).collect(), publishers: 1 };
    let mut idlers = Load::new(target(&hubs[1]), idle.clone())?;
    idlers.subscribe(SUBSCRIBERS, |n| Wants::topic(&idle, n))?;
    let (time, pace, form) = (Duration::from_mins(1), LoadMode::Window(64), PublishMode::Lines);
    let traffic = LoadPlan { events: EVENTS, time, pace, bytes: BYTES, form };
    for _ in 0..rounds::sized(ROUNDS, 1) {
        for (index, hub) in hubs.iter().enumerate() {
            let mut load = Load::new(target(hub), LoadTopics { names: vec!["news".into()], publishers: 1 })?;
            let before = hub.cpu();
            let outcome = load.run(&traffic)?;
            assert_eq!(outcome.published, EVENTS, "a receipt for each");
            rate[index].push(outcome.published_per_second());
            cpu[index].push((hub.cpu() - before) * 1e6 / EVENTS as f64);
        }
    }
    let heard = idlers.listen(Duration::from_millis(100))?;
    assert!(heard.none(), "nothing was published to them: {heard:?}");
    Ok(())
}
