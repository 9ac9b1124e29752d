//! Who reads a run is among the open streams that operators see, and may be ended as any other; the run goes on.

use std::time::Duration;

use serde_json::Value;

use crate::{
    hub::Relay,
    mock::{Gate, Mock},
    recordings::Recording,
    running::{raw, recorded, rest, run_of, without_ids},
    support::eventually,
};

const CHAT: &str = "/v1/chat/completions";

fn listed(relay: &Relay) -> Vec<Value> {
    relay.hub.get("/admin/streams").json()["streams"].as_array().unwrap().clone()
}

#[test]
fn readers_of_a_run_are_listed_and_ended_and_the_run_goes_on() {
    let mock = Mock::start();
    let relay = Relay::start_with(&mock, "on_disconnect = \"continue\"\n", "", &["--stream-keepalive", "10m"]);
    let (recording, gate) = (Recording::OpenAiChat, Gate::closed());
    let frames = recording.frames();
    mock.usually(CHAT, recording.opened().send_each(&frames[..3]).wait_for(&gate).send_each(&frames[3..]));
    let mut asker = relay.ask(recording, &[]);
    let run = run_of(&asker);
    asker.until("\n\n");
    let mut viewer = relay.read(&run, "format=events");
    viewer.until("\n\n");
    let mut plain = relay.hub.watch(&format!("topic=runs/{run}&from=earliest"));
    assert!(plain.next().is_some());
    eventually("all are there, and none is behind", || {
        let streams = listed(&relay);
        streams.len() == 3 && streams.iter().all(|stream| stream["behind_events"] == 0)
    });
    let streams = listed(&relay);
    let formats: Vec<_> = streams.iter().map(|stream| stream["format"].as_str().unwrap()).collect();
    assert_eq!(formats, ["relay", "relay", "sse"]);
    // The answer to who has asked has the provider's own id.
    for (stream, incoming) in streams[1..].iter().zip([&viewer, &plain.incoming]) {
        assert_eq!(stream["request_id"], incoming.headers.get("x-request-id").unwrap());
    }
    for stream in &streams {
        assert_eq!(stream["topics"], serde_json::json!([format!("runs/{run}")]));
        assert_eq!(stream["state"], "live");
        assert!(stream["sent_events"].as_u64() > Some(0) && stream["sent_bytes"].as_u64() > Some(0), "{stream}");
    }
    for stream in &streams[..2] {
        let path = format!("/admin/streams/{}", stream["id"].as_str().unwrap());
        assert_eq!(relay.hub.request("DELETE", &path, b"").status, 204);
    }
    assert!(rest(&mut asker).is_broken && rest(&mut viewer).is_broken, "a clean end would say that it is all");
    eventually("they are gone", || listed(&relay).len() == 1);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(relay.run(&run)["status"], "running");
    gate.open();
    assert_eq!(relay.ended(&run)["status"], "completed");
    let mut again = relay.read(&run, "format=raw");
    assert_eq!(without_ids(&raw(recording, &rest(&mut again).text)), recorded(recording));
}
