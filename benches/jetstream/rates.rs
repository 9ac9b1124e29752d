//! Publishes a second and their CPU, with one to three hubs, and with more and more in flight.

use gapless::load::{Load, LoadMode, LoadPlan, LoadTopics, PublishMode};

use crate::{
    NATS, SLED, TOPICS,
    cluster::{self, Member, SERVERS, Site},
    plain, requests,
    support::{
        self,
        hub::Hub,
        report::{Better, Compare, Report},
        rounds,
    },
};

const IN_FLIGHT: [usize; 3] = [1, 64, 512];
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
            through(site, &hubs.iter().map(|hub| &**hub).collect::<Vec<_>>(), name, report);
        }
        through(site, &[&sled], SLED, report);
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

fn case(waiting: usize) -> String {
    format!("{waiting} in flight")
}

fn against(report: &mut Report, case: &str, of: &'static str, to: &'static str) {
    let (tells, better) = ("events a second", Better::Higher);
    let (inverse, reach, aim) = (false, None, None);
    report.compare(of, to, &Compare { case, measure: RATE, tells, inverse, better, reach, aim });
}

fn through(site: &Site, hubs: &[&Hub], name: &'static str, report: &mut Report) {
    for waiting in IN_FLIGHT {
        one(site, hubs, waiting, &requests(), (&case(waiting), name), report);
    }
    let lines = LoadPlan { pace: LoadMode::Window(WINDOW), form: PublishMode::Lines, ..requests() };
    one(site, hubs, hubs.len(), &lines, (LINES, name), report);
}

/// `publishers` connections, spread over the hubs.
fn one(
    site: &Site,
    hubs: &[&Hub],
    publishers: usize,
    plan: &LoadPlan,
    (case, name): (&str, &'static str),
    report: &mut Report,
) {
    let topics = LoadTopics { names: (0..TOPICS).map(|n| format!("jobs/{n}")).collect(), publishers };
    let targets = hubs.iter().map(|hub| cluster::target(hub)).collect();
    let mut load = Load::over(targets, topics).expect("it begins");
    site.measured(&mut load, &LoadPlan { events: 4 * publishers as u64, ..*plan }, hubs);
    let (outcome, cost) = site.measured(&mut load, plan, hubs);
    let each = |seconds: f64| seconds * 1e6 / outcome.published as f64;
    report.sample(case, name, RATE, outcome.published_per_second(), "events/s");
    report.sample(case, name, "ack p50", outcome.ack_ms(50.0), "ms");
    report.sample(case, name, HUB_CPU, each(cost.hubs), "us");
    if name != SLED {
        report.sample(case, name, SERVER_CPU, each(cost.servers), "us");
    }
}
