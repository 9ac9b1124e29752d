//! One topic with 15,000 streams: at three hubs of one log, and at one hub over sled.

use gapless::load::{Load, LoadMode, LoadPlan, LoadTopics, PublishMode, Wants};

use crate::{
    JETSTREAM, SLED,
    cluster::{self, Site},
    requests,
    support::{
        self,
        hub::Hub,
        report::{Better, Compare, Report},
        rounds,
    },
};

/// Streams of all hubs together: a process may have 20,000 files open, and the clients are one process.
pub(crate) const STREAMS: usize = 15_000;

const CPU: &str = "cpu of the hubs per delivery";

pub(crate) fn measure(site: &Site, report: &mut Report) {
    let store = support::directory();
    let sled = cluster::on_sled(store.path());
    let log = site.stream("FANOUT");
    let hubs = [(); 3].map(|()| log.hub());
    let cases = ["1 in flight", "64 in flight"].map(|case| format!("{case}, {} subscribers", streams()));
    for _ in 0..rounds::count() {
        report.next_round();
        through(site, &[&sled], SLED, &cases, report);
        through(site, &hubs.each_ref().map(|hub| &**hub), JETSTREAM, &cases, report);
    }
    for case in &cases {
        let (tells, better, inverse) = ("cpu per delivery", Better::Lower, false);
        let (reach, aim) = (None, None);
        report.compare(JETSTREAM, SLED, &Compare { case, measure: CPU, tells, inverse, better, reach, aim });
    }
}

fn streams() -> usize {
    rounds::sized(STREAMS, 300)
}

fn through(site: &Site, hubs: &[&Hub], name: &'static str, cases: &[String; 2], report: &mut Report) {
    let topics = LoadTopics { names: vec!["news".into()], publishers: 1 };
    let targets = hubs.iter().map(|hub| cluster::target(hub)).collect();
    let mut load = Load::over(targets, topics.clone()).expect("it begins");
    load.subscribe(streams(), |_| Wants::topic(&topics, 0)).expect("they open");
    site.measured(&mut load, &LoadPlan { events: 10, ..requests() }, hubs);
    let saturated = LoadPlan { pace: LoadMode::Window(64), form: PublishMode::Lines, ..requests() };
    for (case, plan) in cases.iter().zip([requests(), saturated]) {
        let (outcome, cost) = site.measured(&mut load, &plan, hubs);
        report.sample(case, name, CPU, cost.hubs * 1e6 / outcome.delivered as f64, "us");
        report.sample(case, name, "deliveries", outcome.delivered_per_second() / 1e6, "million/s");
        report.sample(case, name, "latency p50", outcome.latency_ms(50.0), "ms");
        report.sample(case, name, "latency p99", outcome.latency_ms(99.0), "ms");
    }
}
