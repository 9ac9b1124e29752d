//! One topic with 15,000 streams: at three hubs of one log, and at one hub over sled.

use gapless::load::{LoadError, LoadMode, LoadPlan, LoadTopics, PublishMode, Wants};

use crate::{
    JETSTREAM, SLED,
    cluster::{self, Nodes, Site},
    requests,
    support::{
        self,
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
    for _ in 0..rounds::count() {
        report.next_round();
        let ours = [(SLED, vec![&sled]), (JETSTREAM, hubs.iter().map(|hub| &**hub).collect())];
        for (name, hubs) in ours {
            through(&Nodes::hubs(site, &hubs), name, report).expect("hubs answer");
        }
    }
    for case in &cases() {
        against(report, case, JETSTREAM, SLED);
    }
}

/// The CPU of a delivery by two in the same rounds.
pub(crate) fn against(report: &mut Report, case: &str, of: &'static str, to: &'static str) {
    let (tells, better, inverse) = ("cpu per delivery", Better::Lower, false);
    let (reach, aim) = (None, None);
    report.compare(of, to, &Compare { case, measure: CPU, tells, inverse, better, reach, aim });
}

/// One event in flight, and as many as the servers take.
pub(crate) fn cases() -> [String; 2] {
    ["1 in flight", "64 in flight"].map(|case| format!("{case}, {} subscribers", streams()))
}

fn streams() -> usize {
    rounds::sized(STREAMS, 300)
}

/// The streams are spread over the nodes; the publisher is at the first one.
///
/// # Errors
/// When a connection breaks or is refused.
pub(crate) fn through(nodes: &Nodes, name: &'static str, report: &mut Report) -> Result<(), LoadError> {
    let topics = LoadTopics { names: vec!["news".into()], publishers: 1 };
    let mut load = nodes.load(&topics);
    load.subscribe(streams(), |_| Wants::topic(&topics, 0))?;
    nodes.run(&mut load, &LoadPlan { events: 10, ..requests() }, (name, report))?;
    // Requests in a row, where lines are not known.
    let form = if nodes.are_ours { PublishMode::Lines } else { PublishMode::Requests };
    let saturated = LoadPlan { pace: LoadMode::Window(64), form, ..requests() };
    for (case, plan) in cases().iter().zip([requests(), saturated]) {
        let (outcome, cost) = nodes.run(&mut load, &plan, (name, report))?;
        report.sample(case, name, CPU, cost.hubs * 1e6 / outcome.delivered as f64, "us");
        report.sample(case, name, "deliveries", outcome.delivered_per_second() / 1e6, "million/s");
        report.sample(case, name, "latency p50", outcome.latency_ms(50.0), "ms");
        report.sample(case, name, "latency p99", outcome.latency_ms(99.0), "ms");
    }
    Ok(())
}
