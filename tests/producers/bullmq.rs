//! `bullmq.mjs`

use std::{path::Path, thread, time::Duration};

use serde_json::Value;

use crate::{
    child::{Child, here},
    recipe::{self, heard},
    redis::Redis,
    support::{eventually, hub::Hub},
};

fn forwarder(hub: &Hub, redis: &Redis, directory: &Path) -> Child {
    let mut command = recipe::node(hub, directory, &recipe::path("bullmq.mjs"));
    Child::spawn(command.arg("mails").env("REDIS_URL", &redis.url))
}

/// Jobs that are done by a worker.
fn jobs(hub: &Hub, redis: &Redis, directory: &Path, first: u32, count: u32) -> Child {
    let mut command = recipe::node(hub, directory, &here("tests/producers/bullmq_queue.mjs"));
    let numbers = [first, count].map(|number| number.to_string());
    Child::spawn(command.arg("mails").args(numbers).env("REDIS_URL", &redis.url))
}

#[test]
fn what_happens_in_a_queue_is_published_once_over_kills_of_the_hub_and_of_the_forwarder() {
    let directory = recipe::directory();
    let redis = Redis::start(directory.path());
    let mut hub = recipe::hub();
    // Two at once, as when one is thought to be dead: the hub takes each place in Redis's stream once.
    let _other = forwarder(&hub, &redis, directory.path());
    let forwarding = forwarder(&hub, &redis, directory.path());
    let mut running = jobs(&hub, &redis, directory.path(), 0, 60);
    eventually("some events are there", || heard(&hub, "queues/mails").len() > 30);
    hub.kill();
    thread::sleep(Duration::from_millis(300));
    hub = hub.again();
    eventually("more events are there", || heard(&hub, "queues/mails").len() > 100);
    forwarding.signal("KILL");
    eventually("the jobs are done", || running.exit_code() == Some(0));
    let _again = forwarder(&hub, &redis, directory.path());
    eventually("the last job is there", || {
        let completed = |(name, _): &(String, String)| name == "completed";
        heard(&hub, "queues/mails").iter().filter(|event| completed(event)).count() == 60
    });
    let events = heard(&hub, "queues/mails");
    let of = |job: &str| -> Vec<&str> {
        let has = |data: &str| serde_json::from_str::<Value>(data).unwrap()["jobId"] == job;
        events.iter().filter(|(_, data)| has(data)).map(|(name, _)| &**name).collect()
    };
    for job in 0..60 {
        assert_eq!(of(&format!("job-{job}")), ["added", "waiting", "active", "progress", "completed"]);
    }
    let entries = events.iter().map(|(_, data)| serde_json::from_str::<Value>(data).unwrap());
    let entries: Vec<(u64, u64)> = entries
        .map(|data| {
            let (time, number) = data["entry"].as_str().unwrap().split_once('-').unwrap();
            (time.parse().unwrap(), number.parse().unwrap())
        })
        .collect();
    assert!(entries.is_sorted_by(|earlier, later| earlier < later), "in Redis's order, each once");
}
