//! Two hubs over one stream of NATS JetStream: a run lives on one of them, and is read, joined and stopped at both.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    facts::begun,
    hub::Relay,
    mock::Mock,
    recordings::Recording,
    running::{rest, run_of},
    support::{comes_true, nats_cluster::NatsCluster},
};

const RECORDING: Recording = Recording::OpenAiChat;

/// Longest time between the end of a hub and the ending of its runs.
const INTERRUPTED_WITHIN: Duration = Duration::from_secs(15);

/// A cluster, and two hubs before a provider that begins to answer and then says nothing.
fn two_hubs(mock: &Mock) -> (NatsCluster, Relay, Relay) {
    let cluster = NatsCluster::start();
    let servers = cluster.urls().join(",");
    let made = Command::new(env!("CARGO_BIN_EXE_gapless")).args(["jetstream", "init", "--nats", &servers]).output();
    let made = made.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    mock.usually(&RECORDING.paths(true)[0], begun(RECORDING).silence());
    let hub = || Relay::start_with(mock, "", "", &["--engine", "jetstream", "--nats", &servers]);
    let hubs = (hub(), hub());
    for hub in [&hubs.0, &hubs.1] {
        let ready = || hub.hub.get("/readyz").status == 200;
        assert!(comes_true(ready), "{}", hub.hub.log());
    }
    (cluster, hubs.0, hubs.1)
}

/// The status of a run at a hub.
fn status(hub: &Relay, run: &str) -> Value {
    hub.run(run)["status"].clone()
}

#[test]
fn a_run_of_a_hub_that_is_killed_is_interrupted_within_15_s_and_a_run_is_stopped_from_any_hub() {
    let mock = Mock::start();
    let (_cluster, one, other) = two_hubs(&mock);
    let stopped = one.begun(RECORDING, &json!({}));
    assert_eq!(status(&other, &stopped), "running");
    assert_eq!(other.stop(&stopped, "", &[]).json()["status"], "stopped");
    assert_eq!((status(&one, &stopped), status(&other, &stopped)), (json!("stopped"), json!("stopped")));
    assert_eq!(one.ending(&stopped)["status"], "stopped");

    let mut asked = one.ask(RECORDING, &[("idempotency-key", "k")]);
    asked.until("\n\n");
    let run = run_of(&asked);
    let joined = other.ask(RECORDING, &[("idempotency-key", "k")]);
    assert_eq!(run_of(&joined), run);
    assert_eq!(mock.count(), 2);
    // The run goes on while hubs hear of each other.
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(status(&other, &run), "running");
    one.hub.signal("KILL");
    let killed = Instant::now();
    let ended = comes_true(|| status(&other, &run) == "interrupted");
    let took = killed.elapsed();
    assert!(ended, "{}", other.hub.log());
    println!("interrupted {} ms after the kill", took.as_millis());
    assert!(took < INTERRUPTED_WITHIN, "{took:?}\n{}", other.hub.log());
    assert_eq!(other.ending(&run)["error"]["code"], "interrupted");
    let mut joined = joined;
    assert!(rest(&mut joined).text.contains("interrupted"));
}
