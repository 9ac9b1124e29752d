//! 10,000 streams of one hub, each with a selection of its own: none has a consumer in NATS.

use std::{thread::sleep, time::Duration};

use gapless::load::{Load, LoadMode, LoadPlan, LoadTopics, PublishMode, Wants};

use crate::{
    JETSTREAM,
    cluster::{self, Site},
    requests,
    support::{report::Report, rounds},
};

const KIB: f64 = 1024.0;

pub(crate) fn measure(site: &Site, report: &mut Report) {
    let count: usize = rounds::sized(10_000, 100);
    let case = format!("{count} streams, each of a topic of its own");
    let mut row = |what, value, unit| report.sample(&case, JETSTREAM, what, value, unit);
    let log = site.stream("SELECTIONS");
    let hub = log.hub();
    settle();
    let (memory, consumers) = (hub.resident(), site.consumers());
    let topics = LoadTopics { names: (0..count).map(|n| format!("users/{n}")).collect(), publishers: 1 };
    let mut load = Load::new(cluster::target(&hub), topics.clone()).expect("it begins");
    load.subscribe(count, |n| Wants::topic(&topics, n)).expect("they open");
    settle();
    row("memory per stream that waits", (hub.resident() - memory) / count as f64 / KIB, "KiB");
    let (pace, time) = (LoadMode::Window(1024), Duration::from_mins(1));
    let plan = LoadPlan { events: count as u64, time, pace, form: PublishMode::Lines, ..requests() };
    let (outcome, cost) = site.measured(&mut load, &plan, &[&hub]);
    assert_eq!((outcome.published, outcome.delivered), (count as u64, count as u64), "each stream has its event");
    let cpu = cost.hubs * 1e6 / outcome.delivered as f64;
    row("cpu of the hub per event, published and delivered once", cpu, "us");
    settle();
    row("memory per stream after an event", (hub.resident() - memory) / count as f64 / KIB, "KiB");
    row("consumers in the servers, more than before", site.consumers() - consumers, "");
}

/// Until freed memory is returned and pending work is done.
fn settle() {
    sleep(rounds::sized(Duration::from_secs(2), Duration::from_millis(200)));
}
