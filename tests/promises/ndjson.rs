//! Streams as NDJSON.

use serde_json::{Value, json};

use super::support::{
    hub::Hub,
    wire::{self, Incoming},
};

fn lines(hub: &Hub, query: &str) -> Incoming {
    let headers = [("accept", "application/x-ndjson")];
    let mut incoming = wire::open(hub.address, "GET", &format!("/events?{query}"), &headers, b"");
    assert_eq!(incoming.headers.get("content-type"), Some("application/x-ndjson"));
    assert_eq!(incoming.headers.get("cache-control"), Some("no-cache, no-transform"));
    let first = incoming.line().expect("a line at once, so that proxies pass the head on");
    if query.contains("last_event_id=") {
        assert_eq!(first, "", "it has a cursor");
    } else {
        assert!(first.starts_with("{\"cursor\":{\"id\":\""), "{first}");
    }
    incoming
}

#[test]
fn each_event_is_an_envelope_on_a_line() {
    let hub = Hub::start();
    let receipt = hub.post("/publish?topic=a/1&event=e&retry=5", &[], "line\nbreak \u{2028} \"q\"".as_bytes()).json();
    let mut replay = lines(&hub, "topic=a/*&from=earliest");
    let mut live = lines(&hub, "topic=a/*");
    let want = json!({
        "topic": "a/1", "id": receipt["id"], "time": receipt["time"], "event": "e", "data": "line\nbreak \u{2028} \"q\"",
    });
    assert_eq!(replay.json(), want);
    let id = hub.publish("a/2", "x");
    let (replayed, lived) = (replay.line(), live.line());
    assert_eq!(replayed, lived);
    assert!(lived.unwrap().contains(&id));
}

#[test]
fn no_line_of_json_is_cut_by_a_reader_that_knows_other_line_ends() {
    const ENDS: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];
    let hub = Hub::start();
    let (data, topic) = ("a\u{85}b\u{2028}c\u{2029}d", "x/\u{2028}");
    let line = json!({"topic": topic, "data": data}).to_string() + "\n{\"\u{2028}\": 1}\n";
    let receipts = hub.post("/publish", &[("content-type", "application/x-ndjson")], line.as_bytes()).text();
    assert_eq!(receipts.lines().count(), 2, "{receipts}");
    let sse = [("accept", "text/event-stream")];
    let said = [
        receipts,
        lines(&hub, "topic=x/*&from=earliest").line().unwrap(),
        wire::open(hub.address, "GET", "/events?topic=x/*&from=earliest&format=json", &sse, b"").until("d\"}\nid: "),
        wire::request(hub.address, "GET", "/events?topic=x/*&from=earliest", &[("accept", "application/json")], b"")
            .text(),
        hub.get("/topics").text(),
        hub.get("/topics/%E2%80%A8").text(),
        wire::open(hub.address, "GET", "/events?topic=x/*&last_event_id=%E2%80%A8", &sse, b"")
            .until("\"reason\":\"unknown\"}\n"),
    ];
    for said in said {
        assert!(!said.contains(ENDS), "{said:?}");
    }
    assert_eq!(hub.page("topic=x/*&from=earliest")["events"][0]["data"], data);
}

#[test]
fn gaps_and_ends_are_lines_of_their_own() {
    let hub = Hub::start();
    let ids: Vec<String> = (0..4).map(|n| hub.publish("t", &n.to_string())).collect();
    hub.trim("t", 1);
    let mut stream = lines(&hub, &format!("topic=t&last_event_id={}", ids[0]));
    let gap = json!({"gap": {"topic": "t", "after": ids[0], "resumes_at": ids[3], "reason": "trimmed"}});
    assert_eq!(stream.json(), gap);
    assert_eq!(stream.json()["id"], *ids[3]);
    hub.put("t", r#"{"closed":true}"#);
    assert_eq!(stream.json(), json!({"end": {"topic": "t", "reason": "closed", "last_id": ids[3]}}));
    assert_eq!(stream.line(), None);
    let headers = [("accept", "application/x-ndjson")];
    let over = wire::open(hub.address, "GET", &format!("/events?topic=t&last_event_id={}", ids[3]), &headers, b"");
    assert_eq!(over.status, 204);
}

#[test]
fn an_envelope_can_be_published_again_as_it_is_less_what_the_hub_gave() {
    let hub = Hub::start();
    hub.publish("t", "x");
    let mut envelope: Value = lines(&hub, "topic=t&from=earliest").json();
    for given in ["id", "time"] {
        envelope.as_object_mut().unwrap().remove(given);
    }
    let body = format!("{envelope}\n");
    let answer = hub.post("/publish", &[("content-type", "application/x-ndjson")], body.as_bytes());
    assert!(answer.json()["id"].is_string());
}
