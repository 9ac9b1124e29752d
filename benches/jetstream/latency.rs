//! One event in flight: until its receipt, and until a subscriber of another hub has it.

use std::time::Duration;

use gapless::load::{LoadError, LoadPlan, LoadTopics, Wants};

use crate::{
    NATS, SLED,
    cluster::{self, Member, Nodes, Site},
    plain, requests,
    support::{self, hub::Hub, report::Report, rounds},
};

const CASE: &str = "1 in flight";
/// The hub that is asked leads the log, or has to forward to the one that does.
const AT_LEADER: &str = "gapless (jetstream), at the leader";
const AT_FOLLOWER: &str = "gapless (jetstream), at a follower";

pub(crate) fn measure(site: &Site, report: &mut Report) {
    let log = site.stream("LATENCY");
    let mut hubs = [(); 3].map(|()| log.hub());
    let store = support::directory();
    let sled = cluster::on_sled(store.path());
    for _ in 0..rounds::count() {
        report.next_round();
        let mut ours = |hubs: &[&Hub], name| through(&Nodes::hubs(site, hubs), name, report).expect("hubs answer");
        ours(&[&sled], SLED);
        cluster::leader_first(&mut hubs);
        let [leader, one, other] = &hubs;
        ours(&[leader, one], AT_LEADER);
        ours(&[one, other], AT_FOLLOWER);
        let plain = plain::publish(site, 1, time(), true);
        for (of, times) in [("ack", &plain.acks), ("heard", &plain.heard)] {
            let ms = |percent| times.value_at_percentile(percent) as f64 / 1e6;
            sample(report, NATS, of, [ms(50.0), ms(99.0)]);
        }
    }
    let begun: usize = hubs.iter().map(Member::begun).sum();
    report.note(format!("1 in flight: hubs took over {} times from one that was late", begun - 1));
}

/// Some thousand events, so that a 99th percentile is one of more than ten.
fn time() -> Duration {
    rounds::sized(Duration::from_secs(5), rounds::interval())
}

/// Publishes at the first node, and listens at the last one.
///
/// # Errors
/// When a connection breaks or is refused.
pub(crate) fn through(nodes: &Nodes, name: &'static str, report: &mut Report) -> Result<(), LoadError> {
    let topics = LoadTopics { names: vec!["news".into()], publishers: 1 };
    let mut load = nodes.load(&topics);
    load.subscribe_at(1, |_| Wants::topic(&topics, 0), |_| nodes.targets.len() - 1)?;
    nodes.run(&mut load, &LoadPlan { events: 20, ..requests() }, (name, report))?;
    let (outcome, _) = nodes.run(&mut load, &LoadPlan { time: time(), ..requests() }, (name, report))?;
    sample(report, name, "ack", [outcome.ack_ms(50.0), outcome.ack_ms(99.0)]);
    sample(report, name, "heard", [outcome.latency_ms(50.0), outcome.latency_ms(99.0)]);
    Ok(())
}

fn sample(report: &mut Report, name: &'static str, of: &str, [p50, p99]: [f64; 2]) {
    let measures = if of == "ack" { ["ack p50", "ack p99"] } else { ["heard p50", "heard p99"] };
    report.sample(CASE, name, measures[0], p50, "ms");
    report.sample(CASE, name, measures[1], p99, "ms");
}
