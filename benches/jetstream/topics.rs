//! A million topics: filling them, their memory, the start of another hub, and a take-over.

use std::{
    net::SocketAddr,
    thread::sleep,
    time::{Duration, Instant},
};

use gapless::load::{Load, LoadMode, LoadPlan, LoadTopics, PublishMode};

use crate::{
    JETSTREAM, MB,
    cluster::{self, Member, Site},
    support::{PATIENCE, report::Report, rounds},
};

/// Data of an event, in bytes.
const BYTES: usize = 128;

/// Events without a receipt while the topics are filled.
const WINDOW: u32 = 4096;

/// For filling, which takes minutes.
const FILLING: Duration = Duration::from_mins(15);

pub(crate) fn measure(site: &Site, report: &mut Report) {
    let count: usize = rounds::sized(1_000_000, 5_000);
    let case = format!("{count} topics");
    let mut row = |what, value, unit| report.sample(&case, JETSTREAM, what, value, unit);
    let log = site.stream("TOPICS");
    let mut hubs = [log.hub(), log.hub()];
    let before = hubs.each_ref().map(|hub| hub.resident());
    let (of_server, on_disk) = site.server();

    let topics = LoadTopics { names: (0..count).map(|n| format!("jobs/{n}/tokens")).collect(), publishers: 1 };
    let mut load = Load::new(cluster::target(&hubs[0]), topics).expect("it begins");
    let (pace, form) = (LoadMode::Window(WINDOW), PublishMode::Lines);
    let plan = LoadPlan { events: count as u64, time: FILLING, pace, bytes: BYTES, form };
    let (outcome, cost) = site.measured(&mut load, &plan, &[&hubs[0], &hubs[1]]);
    assert_eq!(outcome.published, count as u64);
    drop(load);
    row("filling: events a second, each the first of its topic", outcome.published_per_second(), "events/s");
    row("filling: cpu of both hubs per event", cost.hubs * 1e6 / count as f64, "us");
    row("filling: cpu of the servers per event", cost.servers * 1e6 / count as f64, "us");

    // jemalloc returns what was freed after ten seconds.
    sleep(rounds::sized(Duration::from_secs(15), Duration::from_secs(1)));
    row("memory per topic, the hub that was asked", (hubs[0].resident() - before[0]) / count as f64, "B");
    row("memory per topic, the other hub", (hubs[1].resident() - before[1]) / count as f64, "B");
    let (memory, disk) = site.server();
    row("memory per topic, a server", (memory - of_server) / count as f64, "B");
    row("disk per topic, a server", (disk - on_disk) / count as f64, "B");

    let (begun, servers) = (Instant::now(), site.used());
    let third = log.hub();
    row("start of another hub, until it is ready", begun.elapsed().as_secs_f64(), "s");
    row("start of another hub: its cpu", third.cpu(), "s");
    row("start of another hub: cpu of the servers", site.used().since(&servers), "s");
    row("start of another hub: most memory", third.peak() / MB, "MB");
    drop(third);

    cluster::leader_first(&mut hubs);
    let begun: usize = hubs.iter().map(Member::begun).sum();
    let [leader, follower] = hubs;
    assert!(leader.leads() && !follower.leads(), "one of them leads");
    leader.kill();
    let killed = Instant::now();
    until_published(follower.address);
    row("take-over: from the leader's kill to the next receipt", killed.elapsed().as_secs_f64(), "s");
    report.note(format!("{case}: hubs took over {} times from one that was late", begun - 1));
}

/// Publishes at this hub until it acknowledges.
fn until_published(hub: SocketAddr) {
    let begun = Instant::now();
    let request = "POST /publish?topic=jobs/0/tokens HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16\r\n\
                   Connection: close\r\n\r\n0000000000000000";
    while !cluster::ask(hub, request).is_some_and(|answer| answer.starts_with("HTTP/1.1 200 ")) {
        assert!(begun.elapsed() < PATIENCE, "nobody leads");
        sleep(Duration::from_millis(20));
    }
}
