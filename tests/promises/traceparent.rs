//! The `traceparent` of a publish reaches the readers of its events.

use serde_json::{Value, json};

use super::support::{
    hub::Hub,
    wire::{self, Incoming},
};

const REQUEST: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const OWN: &str = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-00";

const TRACED: (&str, &str) = ("traceparent", REQUEST);
const LINES: (&str, &str) = ("content-type", "application/x-ndjson");

/// Each event's traceparent, as a page has them.
fn kept(hub: &Hub) -> Vec<Value> {
    let page = hub.page("topic=t&from=earliest");
    page["events"].as_array().unwrap().iter().map(|event| event["traceparent"].clone()).collect()
}

/// Publishes in every form, and returns the traceparent that each event must have.
fn publish_all(hub: &Hub) -> Vec<Value> {
    let post = |target: &str, headers: &[_], body: &str| {
        let answer = hub.post(target, headers, body.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(!answer.text().contains("error"), "{}", answer.text());
    };
    let plain = ("content-type", "text/plain");
    post("/publish?topic=t", &[plain, TRACED], "raw");
    post("/publish?topic=t", &[plain], "none");
    post("/publish?topic=t", &[plain, ("traceparent", "00-invalid")], "ignored");
    post("/publish?topic=t", &[plain, TRACED, TRACED], "two of them are none");
    let batch = json!([
        {"topic": "t", "data": "default"},
        {"topic": "t", "data": "own", "traceparent": OWN},
        {"topic": "t", "data": {"n": 1}, "traceparent": "invalid"},
    ]);
    post("/publish", &[plain, TRACED], &batch.to_string());
    let lines = format!(
        "{{\"topic\":\"t\",\"data\":\"plain\"}}\n{}\n",
        json!({"topic": "t", "data": "own", "traceparent": OWN})
    );
    post("/publish", &[LINES], &lines);
    post("/publish", &[LINES, TRACED], &lines);
    post("/publish?topic=t", &[LINES, TRACED], "1\n");
    post("/publish?topic=t", &[("content-type", "text/event-stream"), TRACED], "data: x\n\n");
    let (request, own, none) = (json!(REQUEST), json!(OWN), Value::Null);
    [&request, &none, &none, &none, &request, &own, &request, &none, &own, &request, &own, &request, &request]
        .map(Clone::clone)
        .to_vec()
}

fn envelopes(mut incoming: Incoming, count: usize) -> Vec<Value> {
    incoming.line().expect("the cursor");
    (0..count).map(|_| incoming.json()["traceparent"].clone()).collect()
}

#[test]
fn the_traceparent_of_a_publish_reaches_live_readers_and_later_ones_and_survives_a_restart() {
    let hub = Hub::start();
    let accept = [("accept", "application/x-ndjson")];
    let live = wire::open(hub.address, "GET", "/events?topic=t", &accept, b"");
    let want = publish_all(&hub);
    assert_eq!(kept(&hub), want);
    assert_eq!(envelopes(live, want.len()), want);
    let hub = hub.again_after_end();
    assert_eq!(kept(&hub), want);
    let replay = wire::open(hub.address, "GET", "/events?topic=t&from=earliest", &accept, b"");
    assert_eq!(envelopes(replay, want.len()), want);
}

#[test]
fn a_retry_from_another_span_is_the_same_publish() {
    let hub = Hub::start();
    let publish = |parent: &str| {
        let headers = [("idempotency-key", "k"), ("content-type", "text/plain"), ("traceparent", parent)];
        hub.post("/publish?topic=t", &headers, b"x").json()
    };
    assert_eq!(publish(REQUEST), publish(OWN));
    assert_eq!(kept(&hub), [REQUEST]);
}

#[test]
fn a_removed_event_keeps_no_traceparent() {
    let hub = Hub::start();
    let id = hub.post("/publish?topic=t", &[TRACED, ("content-type", "text/plain")], b"x").json()["id"].clone();
    let removed = hub.request("DELETE", &format!("/events/{}?topic=t", id.as_str().unwrap()), b"");
    assert!(removed.status < 300, "{}", removed.text());
    assert!(!hub.page("topic=t&from=earliest").to_string().contains("traceparent"));
}
