//! Many clients that read the same old events through one hub: what the servers send for them.

use std::time::{Duration, Instant};

use gapless::load::{Load, LoadMode, LoadPlan, LoadTopics, PublishMode, Wants, dialect::StartAt};

use crate::{
    JETSTREAM, MB, NATS,
    cluster::{self, Sent, Site},
    plain, requests,
    support::{
        hub::Hub,
        process::Used,
        report::{Better, Compare, Report},
        rounds,
    },
};

const SENT: &str = "sent by the servers";

/// The subject of the plain stream.
const SUBJECT: &str = "plain.replay";

pub(crate) fn measure(site: &Site, report: &mut Report) {
    let (clients, events) = rounds::sized((50, 19_000), (5, 2_000));
    let log = site.stream("REPLAY");
    // One publishes, one has one client, and one has all others: each reads what it has not read before.
    let hubs = [(); 3].map(|()| log.hub());
    plain::fill(site, SUBJECT, events);
    let case = |count| format!("{count} clients, {events} events each");
    for round in 0..rounds::count() {
        report.next_round();
        let topics = LoadTopics { names: vec![format!("news/{round}")], publishers: 1 };
        let targets = hubs.iter().map(|hub| cluster::target(hub)).collect();
        let mut load = Load::over(targets, topics.clone()).expect("it begins");
        let (pace, time) = (LoadMode::Window(1024), Duration::from_mins(1));
        let plan = LoadPlan { events, time, pace, form: PublishMode::Lines, ..requests() };
        assert_eq!(site.measured(&mut load, &plan, &[]).0.published, events);
        for (server, count) in [(1, 1), (2, clients)] {
            let watch = Watch::start(site, Some(&hubs[server]));
            let wants = |_| Wants { from: StartAt::Earliest, ..Wants::topic(&topics, 0) };
            load.subscribe_at(count, wants, |_| server).expect("they open");
            let faults = load.settle().expect("they read");
            assert!(faults.none(), "{faults}");
            watch.stop((&case(count), JETSTREAM), count as f64 * events as f64, report);
            let watch = Watch::start(site, None);
            plain::replay(site, SUBJECT, count, events);
            watch.stop((&case(count), NATS), count as f64 * events as f64, report);
        }
    }
    let (tells, better, inverse, reach, aim) = ("bytes sent by the servers", Better::Lower, false, None, None);
    let compare = Compare { case: &case(clients), measure: SENT, tells, inverse, better, reach, aim };
    report.compare(JETSTREAM, NATS, &compare);
}

/// What servers and a hub do meanwhile.
struct Watch<'a> {
    site: &'a Site,
    hub: Option<(&'a Hub, Used)>,
    servers: Used,
    sent: Sent,
    begun: Instant,
}

impl<'a> Watch<'a> {
    fn start(site: &'a Site, hub: Option<&'a Hub>) -> Self {
        let hub = hub.map(|hub| (hub, hub.used()));
        Self { site, hub, servers: site.used(), sent: site.sent(), begun: Instant::now() }
    }

    /// Reports it for this number of events that were delivered.
    fn stop(self, (case, name): (&str, &'static str), events: f64, report: &mut Report) {
        let (seconds, now) = (self.begun.elapsed().as_secs_f64(), self.site.sent());
        report.sample(case, name, SENT, (now.bytes - self.sent.bytes) / MB, "MB");
        report.sample(case, name, "messages of the servers", now.messages - self.sent.messages, "");
        let cpu = self.site.used().since(&self.servers);
        report.sample(case, name, "cpu of the servers per event", cpu * 1e6 / events, "us");
        if let Some((hub, used)) = &self.hub {
            report.sample(case, name, "cpu of the hub per event", hub.used().since(used) * 1e6 / events, "us");
        }
        report.sample(case, name, "events", events / seconds / 1e6, "million/s");
    }
}
