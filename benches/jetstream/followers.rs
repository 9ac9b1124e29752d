//! What a hub without clients costs: while nobody publishes, and while others do.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use gapless::load::{Load, LoadMode, LoadPlan, LoadTopics, PublishMode};

use crate::{
    MB, TOPICS,
    cluster::{self, Site},
    requests,
    support::{hub::Hub, process::Used, report::Report, rounds},
};

const LEADER: &str = "gapless (jetstream), the leader";
const FOLLOWER: &str = "gapless (jetstream), a follower";
const SERVER: &str = "a nats server";

const CPU: &str = "cpu";

/// Events a second that are published at the leader.
const RATES: [f64; 2] = [500.0, 5_000.0];

pub(crate) fn measure(site: &Site, report: &mut Report) {
    let log = site.stream("FOLLOWERS");
    let (leader, follower) = (log.hub(), log.hub());
    for _ in 0..rounds::count() {
        report.next_round();
        sleep(rounds::sized(Duration::from_secs(2), Duration::ZERO));
        let idle = spent(site, &leader, &follower, || sleep(time()));
        for (name, cpu) in [LEADER, FOLLOWER, SERVER].into_iter().zip(idle) {
            report.sample("idle", name, CPU, cpu * 1e3, "ms/s");
        }
        for rate in RATES {
            let mut published = 0;
            let busy = spent(site, &leader, &follower, || published = publish(site, &leader, rate));
            let case = format!("{rate} events/s at the leader");
            for (name, (busy, idle)) in [LEADER, FOLLOWER, SERVER].into_iter().zip(busy.into_iter().zip(idle)) {
                report.sample(&case, name, CPU, busy * 1e3, "ms/s");
                let each = (busy - idle) * time().as_secs_f64() * 1e6 / published as f64;
                report.sample(&case, name, "cpu per event, without what it takes when idle", each, "us");
            }
        }
        for (name, hub) in [(LEADER, &leader), (FOLLOWER, &follower)] {
            report.sample("after that", name, "memory of the process", hub.resident() / MB, "MB");
        }
        report.sample("after that", SERVER, "memory of the process", site.server().0 / MB, "MB");
    }
}

fn time() -> Duration {
    rounds::sized(Duration::from_secs(5), Duration::from_millis(500))
}

/// CPU of the leader, of the follower and of one server, in seconds a second.
fn spent(site: &Site, leader: &Hub, follower: &Hub, work: impl FnOnce()) -> [f64; 3] {
    let used = || [leader.used(), follower.used(), site.used()];
    let (before, begun): ([Used; 3], _) = (used(), Instant::now());
    work();
    let (after, seconds) = (used(), begun.elapsed().as_secs_f64());
    let [one, other, servers] = std::array::from_fn(|index| after[index].since(&before[index]) / seconds);
    [one, other, servers / cluster::SERVERS as f64]
}

/// Lines of one stream, in an open loop. Returns the number of events.
fn publish(site: &Site, leader: &Hub, rate: f64) -> u64 {
    let topics = LoadTopics { names: (0..TOPICS).map(|n| format!("jobs/{n}")).collect(), publishers: 1 };
    let mut load = Load::new(cluster::target(leader), topics).expect("it begins");
    let plan = LoadPlan { time: time(), pace: LoadMode::Rate(rate), form: PublishMode::Lines, ..requests() };
    site.measured(&mut load, &plan, &[leader]).0.published
}
