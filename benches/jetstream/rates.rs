//! Publishes a second and their CPU, with one to three hubs, and with more and more in flight.

use gapless::load::{LoadError, LoadMode, LoadPlan, LoadTopics, PublishMode};

use crate::{
    NATS, SLED, TOPICS,
    cluster::{self, Member, Nodes, SERVERS, Site},
    plain, requests,
    support::{
        self,
        report::{Better, Compare, Report},
        rounds,
    },
};

pub(crate) const IN_FLIGHT: [usize; 3] = [1, 64, 512];
const HUBS: [&str; SERVERS] =
    ["gapless (jetstream), 1 hub", "gapless (jetstream), 2 hubs", "gapless (jetstream), 3 hubs"];

/// Events without a receipt on each connection that carries lines.
const WINDOW: u32 = 2048;

const RATE: &str = "rate";
const HUB_CPU: &str = "cpu of the hubs per event";
const SERVER_CPU: &str = "cpu of the servers per event";

pub(crate) fn measure(site: &Site, report: &mut Report) {
    let store = support::directory();
    let sled = cluster::on_sled(store.path());
    let log = site.stream("RATES");
    for _ in 0..rounds::count() {
        report.next_round();
        let mut hubs: Vec<Member> = Vec::new();
        for name in HUBS {
            hubs.push(log.hub());
            let hubs: Vec<_> = hubs.iter().map(|hub| &**hub).collect();
            through(&Nodes::hubs(site, &hubs), name, report).expect("hubs answer");
        }
        let sled = Nodes { servers: Vec::new(), ..Nodes::hubs(site, &[&sled]) };
        through(&sled, SLED, report).expect("the hub answers");
        for waiting in IN_FLIGHT {
            let used = site.used();
            let plain = plain::publish(site, waiting, rounds::interval(), false);
            let (case, cpu) = (case(waiting), site.used().since(&used));
            report.sample(&case, NATS, RATE, plain.events as f64 / plain.seconds, "events/s");
            report.sample(&case, NATS, "ack p50", plain.acks.value_at_percentile(50.0) as f64 / 1e6, "ms");
            report.sample(&case, NATS, SERVER_CPU, cpu * 1e6 / plain.events as f64, "us");
        }
    }
    for waiting in IN_FLIGHT {
        let case = case(waiting);
        for (of, to) in [(HUBS[0], SLED), (HUBS[0], NATS), (HUBS[2], HUBS[0])] {
            against(report, &case, of, to);
        }
    }
    against(report, LINES, HUBS[0], SLED);
}

const LINES: &str = "lines of one stream a hub";

pub(crate) fn case(waiting: usize) -> String {
    format!("{waiting} in flight")
}

/// The rates of two in the same rounds.
pub(crate) fn against(report: &mut Report, case: &str, of: &'static str, to: &'static str) {
    let (tells, better) = ("events a second", Better::Higher);
    let (inverse, reach, aim) = (false, None, None);
    report.compare(of, to, &Compare { case, measure: RATE, tells, inverse, better, reach, aim });
}

fn through(nodes: &Nodes, name: &'static str, report: &mut Report) -> Result<(), LoadError> {
    posts(nodes, name, report)?;
    let lines = LoadPlan { pace: LoadMode::Window(WINDOW), form: PublishMode::Lines, ..requests() };
    one(nodes, nodes.targets.len(), &lines, (LINES, name), report)
}

/// The cases of one event in flight on each connection.
///
/// # Errors
/// When a connection breaks or is refused.
pub(crate) fn posts(nodes: &Nodes, name: &'static str, report: &mut Report) -> Result<(), LoadError> {
    IN_FLIGHT.into_iter().try_for_each(|waiting| one(nodes, waiting, &requests(), (&case(waiting), name), report))
}

/// `publishers` connections, spread over the nodes.
fn one(
    nodes: &Nodes,
    publishers: usize,
    plan: &LoadPlan,
    (case, name): (&str, &'static str),
    report: &mut Report,
) -> Result<(), LoadError> {
    let topics = LoadTopics { names: (0..TOPICS).map(|n| format!("jobs-{n}")).collect(), publishers };
    let mut load = nodes.load(&topics);
    nodes.run(&mut load, &LoadPlan { events: 4 * publishers as u64, ..*plan }, (name, report))?;
    let (outcome, cost) = nodes.run(&mut load, plan, (name, report))?;
    let each = |seconds: f64| seconds * 1e6 / outcome.published as f64;
    report.sample(case, name, RATE, outcome.published_per_second(), "events/s");
    report.sample(case, name, "ack p50", outcome.ack_ms(50.0), "ms");
    report.sample(case, name, HUB_CPU, each(cost.hubs), "us");
    if !nodes.servers.is_empty() {
        report.sample(case, name, SERVER_CPU, each(cost.servers), "us");
    }
    Ok(())
}
