//! `POST /events`: the request as a body.

use serde_json::json;

use super::support::{
    assert_problem,
    hub::Hub,
    wire::{self, Incoming},
};

fn post(hub: &Hub, body: &serde_json::Value, headers: &[(&str, &str)]) -> Incoming {
    wire::open(hub.address, "POST", "/events", headers, body.to_string().as_bytes())
}

#[test]
fn a_body_asks_for_the_same_stream_as_a_query() {
    let hub = Hub::start();
    let ids: Vec<String> = (0..3).map(|n| hub.publish("a/b", &n.to_string())).collect();
    for (body, query) in [
        (json!({"topics": ["a/*"], "from": "earliest"}), "topic=a/*&from=earliest".to_owned()),
        (json!({"topics": ["a/b"], "last_event_id": ids[0]}), format!("topic=a/b&last_event_id={}", ids[0])),
        (json!({"topics": ["a/b"], "lastEventId": "x"}), "topic=a/b&last_event_id=x".into()),
        (
            json!({"topics": ["a/b", "c"], "since": "1h", "format": "json"}),
            "topic=a/b&topic=c&since=1h&format=json".into(),
        ),
        (json!({"topics": ["a/b"], "last_event_id": "", "from": ids[1]}), format!("topic=a/b&from={}", ids[1])),
    ] {
        let mut get = wire::open(hub.address, "GET", &format!("/events?{query}"), &[], b"");
        let mut got = post(&hub, &body, &[]);
        assert_eq!(
            (got.status, got.headers.get("content-type")),
            (200, Some("text/event-stream; charset=utf-8")),
            "{body}"
        );
        let last = format!("id: {}\n\n", ids[2]);
        assert_eq!(got.until(&last), get.until(&last), "{body}");
    }
}

#[test]
fn the_header_wins_over_the_body() {
    let hub = Hub::start();
    let ids: Vec<String> = (0..3).map(|n| hub.publish("t", &n.to_string())).collect();
    let mut stream = post(&hub, &json!({"topics": ["t"], "last_event_id": ids[0]}), &[("last-event-id", &ids[1])]);
    assert!(!stream.until(&format!("id: {}\n\n", ids[2])).contains("data: 1"));
}

#[test]
fn a_thousand_topics_fit() {
    let hub = Hub::start();
    let name = |n: usize| format!("{n}/{}", "x".repeat(200));
    let topics: Vec<String> = (0..1000).map(name).collect();
    let mut stream = post(&hub, &json!({"topics": topics}), &[]);
    stream.until("event: hub.cursor\n");
    let last = hub.publish(&name(999), "last");
    assert!(stream.until(&format!("id: {last}\n\n")).contains("data: last\n"));
    assert_problem(
        &hub.post("/events", &[], json!({"topics": vec!["t"; 1001]}).to_string().as_bytes()),
        400,
        "query-invalid",
    );
}

#[test]
fn a_body_can_request_a_page_and_ndjson() {
    let hub = Hub::start();
    hub.publish("t", "1");
    hub.publish("t", "2");
    let body = json!({"topics": ["t"], "from": "earliest", "limit": 1});
    let page = post(&hub, &body, &[("accept", "application/json")]).json();
    assert_eq!(page["events"].as_array().unwrap().len(), 1);
    let mut lines = post(&hub, &body, &[("accept", "application/x-ndjson")]);
    lines.line();
    assert_eq!(lines.json()["data"], "1");
}

#[test]
fn an_invalid_body_is_refused() {
    let hub = Hub::start();
    for (body, code) in [
        ("", "body-invalid"),
        ("{", "body-invalid"),
        ("{}", "body-invalid"),
        ("{\"topics\":\"t\"}", "body-invalid"),
        ("{\"topics\":[]}", "topic-invalid"),
        ("{\"topics\":[\"a//b\"]}", "topic-invalid"),
        ("{\"topics\":[\"t\"],\"form\":\"earliest\"}", "body-invalid"),
        ("{\"topics\":[\"t\"],\"from\":\"junk\"}", "query-invalid"),
        ("{\"topics\":[\"t\"],\"limit\":0}", "body-invalid"),
    ] {
        assert_problem(&hub.post("/events", &[], body.as_bytes()), 400, code);
    }
}
