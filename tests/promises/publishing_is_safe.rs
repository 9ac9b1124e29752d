//! No bytes of a publisher form a second event, an id or a name.

use serde_json::json;

use super::support::{
    assert_problem,
    hub::Hub,
    wire::{self, EventStream},
};

/// Payloads that would break a stream that inserts them unescaped.
const NASTY: &[&str] = &[
    "",
    "\n",
    "\r",
    "\r\n",
    "\n\n\n",
    "a\n\nid: 9999\ndata: forged\n\n",
    "a\r\rid: 9999\rdata: forged\r\r",
    "a\r\n\r\nevent: hub.end\r\ndata: {}\r\n\r\n",
    "\r\n\r\r\n\n",
    "id: zzzzzzzz-1",
    "event: hub.gap",
    "retry: 1",
    ": comment",
    ":",
    "data: data: x",
    " leading",
    "\tleading\r ",
    "nul\0nul",
    "\u{feff}bom",
    "line\u{2028}paragraph\u{2029}next\u{85}vt\u{b}ff\u{c}",
    "0\r\n\r\n",
    "x\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    "\u{1b}[2J\u{7f}",
    "</script><script>",
    "a\n",
    "\nb",
];

/// What an EventSource dispatches for `data`: every kind of line break is a line feed.
fn received(data: &str) -> String {
    data.replace("\r\n", "\n").replace('\r', "\n")
}

fn expect_all(stream: &mut EventStream, ids: &[String], event: &str) {
    for (data, id) in NASTY.iter().zip(ids) {
        let message = stream.next().unwrap();
        assert_eq!((&*message.data, &*message.event), (&*received(data), event), "{data:?}");
        assert_eq!(message.id.as_ref(), Some(id), "{data:?}");
        assert_eq!(stream.retry(), Some(3000), "{data:?}");
    }
}

#[test]
fn each_payload_is_exactly_one_event() {
    let hub = Hub::start();
    let mut live = hub.watch("topic=t");
    let ids: Vec<String> = NASTY.iter().map(|data| hub.publish("t", data)).collect();
    expect_all(&mut live, &ids, "message");
    expect_all(&mut hub.watch("topic=t&from=earliest"), &ids, "message");
    assert_eq!(hub.kept("t"), NASTY, "in JSON every character is as it was sent");
}

#[test]
fn each_payload_is_exactly_one_event_by_every_way_in() {
    let hub = Hub::start();
    let batch: Vec<_> = NASTY.iter().map(|data| json!({"topic": "batch", "data": data, "event": "e"})).collect();
    let answer = hub.post("/publish", &[], json!(batch).to_string().as_bytes()).json();
    let ids = |receipts: &[serde_json::Value]| -> Vec<String> {
        receipts.iter().map(|receipt| receipt["id"].as_str().unwrap().into()).collect()
    };
    expect_all(&mut hub.watch("topic=batch&from=earliest"), &ids(answer["events"].as_array().unwrap()), "e");
    let lines: Vec<String> = NASTY.iter().map(|data| json!({"topic": "lines", "data": data}).to_string()).collect();
    let lines = lines.join("\n");
    let answer = hub.post("/publish", &[("content-type", "application/x-ndjson")], lines.as_bytes()).text();
    let receipts: Vec<_> = answer.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    expect_all(&mut hub.watch("topic=lines&from=earliest"), &ids(&receipts), "message");
}

#[test]
fn an_envelope_of_a_payload_is_one_line() {
    let hub = Hub::start();
    let mut stream = hub.watch("topic=t&format=json");
    let headers = [("accept", "application/x-ndjson")];
    let mut lines = wire::open(hub.address, "GET", "/events?topic=t", &headers, b"");
    lines.line();
    for data in NASTY {
        hub.publish("t", data);
        let envelope: serde_json::Value = serde_json::from_str(&stream.next().unwrap().data).unwrap();
        assert_eq!(envelope["data"], *data);
        assert_eq!(lines.json()["data"], *data);
    }
}

#[test]
fn names_that_could_forge_a_line_are_refused_and_odd_ones_stay_names() {
    let hub = Hub::start();
    for name in ["a\nb", "a\rid: 1", "a\0", "\u{85}", "hub.", "hub.gap"] {
        let body = json!({"topic": "t", "data": "x", "event": name}).to_string();
        assert_problem(&hub.post("/publish", &[], body.as_bytes()), 400, "event-name-invalid");
    }
    let mut stream = hub.watch("topic=t");
    for name in [" leading", "id: 1", ":", "data", "\u{2028}", "hub", "Hub.gap", "é"] {
        hub.post("/publish", &[], json!({"topic": "t", "data": "x", "event": name}).to_string().as_bytes());
        assert_eq!(stream.next().unwrap().event, name);
    }
}

#[test]
fn a_topics_name_forges_nothing_in_notices() {
    let hub = Hub::start();
    for bad in ["a\nid: 1", "a\r", "a\0", "a\u{202e}"] {
        let body = json!({"topic": bad, "data": "x"}).to_string();
        assert_problem(&hub.post("/publish", &[], body.as_bytes()), 400, "topic-invalid");
    }
    let topic = "\"quote\\ \u{2028}é:data: x";
    let encoded = "%22quote%5C%20%E2%80%A8%C3%A9:data:%20x";
    let mut stream = hub.watch(&format!("topic={encoded}"));
    hub.put(encoded, r#"{"closed":true}"#);
    let message = stream.next().unwrap();
    assert_eq!(message.event, "hub.end");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&message.data).unwrap()["topic"], topic);
}

#[test]
fn a_cursor_forges_nothing_in_a_gap() {
    let hub = Hub::start();
    for (cursor, after) in [("a%0A%0Aid:%201%0Adata:%20x", "a\n\nid: 1\ndata: x"), ("%0D%00%22", "\r\0\"")] {
        let mut stream = hub.watch(&format!("topic=t&last_event_id={cursor}"));
        let message = stream.next().unwrap();
        assert_eq!(message.event, "hub.gap");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&message.data).unwrap()["after"], after);
        assert_eq!(stream.last_id(), None);
    }
}
