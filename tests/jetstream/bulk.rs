//! Many small events at once, to a hub whose engine takes few in one batch.

use std::{process::Command, time::Duration};

use crate::{
    cluster::over_jetstream,
    http::{self, Outcome},
    hubs::{HubPlace, Hubs},
    nats_cluster::NatsCluster,
};

/// For thousands of events in batches of a few, on a busy machine.
const LIMIT: Duration = Duration::from_mins(1);

const EVENTS: usize = 3000;

fn gapless(arguments: &[&str]) {
    let done = Command::new(env!("CARGO_BIN_EXE_gapless")).args(arguments).output().expect("the binary starts");
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn lines_an_export_and_a_file_of_more_events_than_a_batch_takes_are_published() {
    let cluster = NatsCluster::start();
    let few = ["--nats-max-batch", "100"].map(String::from);
    let arguments = [&over_jetstream(&cluster.urls())[0][..], &few[..]].concat();
    let hubs = Hubs::start(vec![HubPlace { arguments, ..HubPlace::default() }]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tasks = tokio::task::LocalSet::new();
    let (hub, home) = (hubs.addresses()[0], tempfile::tempdir().unwrap());
    let (url, file) = (format!("http://{hub}"), home.path().join("events"));
    let file = file.to_str().unwrap();
    let count = || {
        let asked = http::request(hub, "GET", "/topics/t", &[], Vec::new(), LIMIT);
        let Outcome::Answered(answer) = tasks.block_on(&runtime, asked) else { panic!("no answer") };
        answer.json["events"].as_u64()
    };
    tasks.block_on(&runtime, hubs.ready()).unwrap();

    let lines = "1\n".repeat(EVENTS);
    let headers = [("content-type", "application/x-ndjson")];
    let posted = http::request(hub, "POST", "/publish?topic=t", &headers, lines.clone().into_bytes(), LIMIT);
    let Outcome::Answered(answer) = tasks.block_on(&runtime, posted) else { panic!("no answer") };
    let receipts = answer.json.as_str().unwrap().to_owned();
    assert!(answer.status == 200 && !receipts.contains("error"), "{}: {receipts:.300}", answer.status);
    assert_eq!((receipts.lines().count(), count()), (EVENTS, Some(EVENTS as u64)));

    gapless(&["export", "t", "--url", &url, "--to", file]);
    gapless(&["import", "--from", file, "--url", &url]);
    assert_eq!(count(), Some(2 * EVENTS as u64));

    std::fs::write(file, lines).unwrap();
    gapless(&["publish", "t", "--url", &url, "--lines", "--file", file]);
    assert_eq!(count(), Some(3 * EVENTS as u64));
}
