//! `rq_progress.py`

use std::{path::Path, process::Command, thread, time::Duration};

use serde_json::json;

use crate::{
    child::{Child, here},
    recipe::{self, heard, said},
    redis::Redis,
    support::{eventually, hub::Hub},
};

fn enqueue(hub: &Hub, redis: &Redis, job: [&str; 4]) {
    let mut command = recipe::python(hub, &here("tests/producers/rq_enqueue.py"));
    assert!(command.arg(&redis.url).args(job).status().unwrap().success());
}

fn worker(hub: &Hub, redis: &Redis, directory: &Path) -> Child {
    let mut command: Command = recipe::python(hub, &here("target/producers-venv/bin/rq"));
    command.args(["worker", "--quiet", "--url", &redis.url]).current_dir(directory);
    Child::spawn(&mut command)
}

fn steps(count: u32) -> Vec<(&'static str, String)> {
    (1..=count).map(|done| ("progress", json!({ "done": done, "of": count }).to_string())).collect()
}

#[test]
fn a_job_whose_worker_is_killed_and_one_whose_hub_is_killed_tell_each_step_once() {
    let directory = recipe::directory();
    let redis = Redis::start(directory.path());
    let mut hub = recipe::hub();
    enqueue(&hub, &redis, ["first", "1", "count", "[12, 0.05, 5]"]);
    enqueue(&hub, &redis, ["second", "0", "count", "[12, 0.1]"]);
    let _worker = worker(&hub, &redis, directory.path());
    eventually("the second job is under way", || heard(&hub, "jobs/second").len() > 3);
    hub.kill();
    thread::sleep(Duration::from_millis(500));
    hub = hub.again();
    for topic in ["jobs/first", "jobs/second"] {
        eventually("the job ends", || hub.topic(topic)["closed"] == true);
        let end = ("succeeded", json!({ "result": "12" }).to_string());
        assert_eq!(heard(&hub, topic), said(steps(12).into_iter().chain([end])), "{topic}");
    }
    assert!(directory.path().join("first.killed").exists());
}

#[test]
fn a_job_that_fails_says_so_only_when_no_try_is_left() {
    let directory = recipe::directory();
    let redis = Redis::start(directory.path());
    let hub = recipe::hub();
    enqueue(&hub, &redis, ["for-good", "1", "fails", "[2]"]);
    enqueue(&hub, &redis, ["once", "1", "fails", "[1]"]);
    let _worker = worker(&hub, &redis, directory.path());
    let step = ("progress", json!({ "done": 1, "of": 2 }));
    for (topic, end) in [
        ("jobs/for-good", ("failed", json!({ "error": "the second step is missing" }))),
        ("jobs/once", ("succeeded", json!({ "result": "None" }))),
    ] {
        eventually("the job ends", || hub.topic(topic)["closed"] == true);
        let want = [&step, &end].map(|(name, data)| (*name, data.to_string()));
        assert_eq!(heard(&hub, topic), said(want), "{topic}");
    }
}
