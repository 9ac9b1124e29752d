//! CloudEvents: in three forms in, in four out, with their attributes, over kills.

use serde_json::{Value, json};

use super::support::{
    assert_problem,
    hub::Hub,
    tokens,
    wire::{self, Answer},
};

const STRUCTURED: (&str, &str) = ("content-type", "application/cloudevents+json");
const BATCHED: (&str, &str) = ("content-type", "application/cloudevents-batch+json");
const BATCH: &str = "application/cloudevents-batch+json";
const REQUIRED: [(&str, &str); 4] =
    [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/shop"), ("ce-type", "order.paid")];
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn event(id: &str, more: &Value) -> Value {
    let mut event = json!({"specversion": "1.0", "id": id, "source": "/shop", "type": "order.paid"});
    event.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    event
}

/// What a reader is sent of `event`: the same, and where it is.
fn in_hub(mut event: Value, receipt: &Value) -> Value {
    event["gaplessid"] = receipt["id"].clone();
    event["gaplesstopic"] = receipt["topic"].clone();
    event
}

/// Publishes in each form; what a reader is sent of each.
fn publish_all(hub: &Hub) -> Vec<Value> {
    let one = |headers: &[(&str, &str)], body: &[u8]| {
        let answer = hub.post("/publish?topic=orders/eu", headers, body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let binary = |more: &[(&str, &str)], body: &[u8]| one(&[&REQUIRED[..], more].concat(), body);
    let mut sent = Vec::new();
    let receipt = binary(
        &[("content-type", "application/json"), ("ce-subject", "n%C2%B0%201"), ("ce-traceparent", TRACE)],
        b"{\"order\": 42,\n \"sum\": 1.50}",
    );
    let described = json!({"subject": "n° 1", "traceparent": TRACE, "datacontenttype": "application/json", "data": {"order": 42, "sum": 1.5}});
    sent.push(in_hub(event("1", &described), &receipt));
    let receipt = binary(&[("content-type", "image/png")], b"\x89PNG\r\n");
    sent.push(in_hub(event("1", &json!({"datacontenttype": "image/png", "data_base64": "iVBORw0K"})), &receipt));
    let text =
        event("2", &json!({"datacontenttype": "text/plain", "data": "a\r\nb\u{2028}", "count": 7, "flag": true}));
    let receipt = one(&[STRUCTURED], text.to_string().as_bytes());
    sent.push(in_hub(text, &receipt));
    let batch = [event("3", &json!({"data": {"large": "\"\n".repeat(200_000)}})), event("4", &json!({}))];
    let receipts = one(&[BATCHED], json!(batch).to_string().as_bytes());
    sent.extend(batch.into_iter().zip(0..).map(|(event, n)| in_hub(event, &receipts["events"][n])));
    sent
}

fn batch(hub: &Hub, query: &str) -> Answer {
    let answer = wire::request(hub.address, "GET", &format!("/events?{query}"), &[("accept", BATCH)], b"");
    assert_eq!((answer.status, answer.headers.get("content-type")), (200, Some(BATCH)), "{}", answer.text());
    answer
}

fn one(hub: &Hub, id: &str, accept: &[(&str, &str)]) -> Answer {
    wire::request(hub.address, "GET", &format!("/events/{id}?topic=orders/eu"), accept, b"")
}

fn lines(hub: &Hub, query: &str, count: usize) -> Vec<Value> {
    let ndjson = [("accept", "application/x-ndjson")];
    let mut incoming = wire::open(hub.address, "GET", &format!("/events?{query}&format=cloudevents"), &ndjson, b"");
    incoming.line().expect("the cursor");
    (0..count).map(|_| incoming.json()).collect()
}

fn in_sse(hub: &Hub, query: &str, count: usize) -> Vec<Value> {
    let mut stream = hub.watch(&format!("{query}&format=cloudevents"));
    let parse = |data: String| serde_json::from_str(&data).expect("JSON");
    stream.data(count).into_iter().map(parse).collect()
}

#[test]
fn events_come_back_with_their_attributes_in_every_form_and_survive_a_kill() {
    let mut hub = Hub::start();
    let mut live = hub.watch("topic=orders/**&format=cloudevents");
    let mut plain = hub.watch("topic=orders/eu");
    let want = publish_all(&hub);
    let count = want.len();
    let first = live.next().expect("an event");
    assert_eq!((first.event.as_str(), first.id.as_deref()), ("message", want[0]["gaplessid"].as_str()));
    assert!(
        live.data(count - 1)
            .iter()
            .zip(&want[1..])
            .all(|(data, want)| serde_json::from_str::<Value>(data).expect("JSON") == *want)
    );
    let first = plain.next().expect("an event");
    assert_eq!(
        (first.event.as_str(), first.data.as_str()),
        ("order.paid", "{\"order\": 42,\n \"sum\": 1.50}"),
        "as it was sent"
    );
    for _ in 0..2 {
        assert!(in_sse(&hub, "topic=orders/eu&from=earliest", count) == want);
        assert!(lines(&hub, "topic=orders/eu&from=earliest", count) == want);
        let whole = batch(&hub, "topic=orders/eu&from=earliest");
        assert!(whole.json() == json!(want));
        assert_eq!(
            (whole.headers.get("last-event-id"), whole.headers.get("stream-closed")),
            (want[count - 1]["gaplessid"].as_str(), None)
        );
        let rest = format!("topic=orders/eu&last_event_id={}", want[1]["gaplessid"].as_str().expect("an id"));
        assert!(batch(&hub, &rest).json() == json!(want[2..]));
        hub.kill();
        hub = hub.again();
    }
}

#[test]
fn an_event_that_was_published_otherwise_is_described_by_the_hub() {
    let hub = Hub::start();
    let id = hub.publish("orders/eu", "text");
    let end =
        hub.post("/publish?topic=orders/eu&event=last&close=true", &[("content-type", "image/png")], b"\xff").json();
    let answer = batch(&hub, "topic=orders/eu&from=earliest");
    assert_eq!(answer.headers.get("stream-closed"), Some("true"));
    let events = answer.json();
    let want = json!({
        "specversion": "1.0", "id": id, "source": "/topics/orders/eu", "type": "message", "time": events[0]["time"],
        "datacontenttype": "text/plain; charset=utf-8", "gaplessid": id, "gaplesstopic": "orders/eu", "data": "text",
    });
    assert_eq!(events[0], want);
    assert_eq!(
        (&events[1]["type"], &events[1]["data_base64"], &events[1]["id"]),
        (&json!("last"), &json!("/w=="), &end["id"])
    );
    assert_eq!(
        batch(&hub, &format!("topic=orders/eu&last_event_id={}", end["id"].as_str().expect("an id"))).json(),
        json!([])
    );
}

#[test]
fn one_event_is_its_data_with_headers_or_json_and_runs_nothing_in_a_browser() {
    let hub = Hub::start();
    let html = [("content-type", "text/html"), ("ce-own", "%22%E2%82%AC")];
    let id = hub.post("/publish?topic=orders/eu", &[&REQUIRED[..], &html].concat(), b"<script>").json();
    let id = id["id"].as_str().expect("an id");
    let answer = one(&hub, id, &[]);
    assert_eq!(
        (answer.status, answer.text().as_str(), answer.headers.get("content-type")),
        (200, "<script>", Some("text/html"))
    );
    for (name, value) in REQUIRED.iter().chain(&[
        ("ce-own", "%22%E2%82%AC"),
        ("ce-gaplessid", id),
        ("ce-gaplesstopic", "orders/eu"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
    ]) {
        assert_eq!(answer.headers.get(name), Some(*value), "{name}");
    }
    assert!(answer.headers.get("content-security-policy").is_some_and(|policy| policy.starts_with("sandbox")));
    assert_eq!(answer.headers.get("ce-datacontenttype"), None);
    let structured = one(&hub, id, &[("accept", STRUCTURED.1)]);
    assert_eq!(
        (structured.headers.get("content-type"), &structured.json()["own"]),
        (Some(STRUCTURED.1), &json!("\"€"))
    );
    assert_eq!(one(&hub, id, &[("accept", "application/json")]).json()["data"], "<script>");
    let head = wire::request(hub.address, "HEAD", &format!("/events/{id}?topic=orders/eu"), &[], b"");
    assert_eq!((head.status, head.text().as_str(), head.headers.get("ce-id")), (200, "", Some("1")));
    let text = hub.publish("orders/eu", "é");
    assert_eq!(one(&hub, &text, &[]).headers.get("content-type"), Some("text/plain; charset=utf-8"));

    for (id, topic, status, code) in [
        ("zzzz-1", "orders/eu", 404, "event-unknown"),
        (id, "orders/us", 404, "event-unknown"),
        ("junk", "orders/eu", 400, "id-invalid"),
        (id, "orders/*", 400, "topic-invalid"),
    ] {
        assert_problem(&hub.get(&format!("/events/{id}?topic={topic}")), status, code);
    }
    assert_problem(&hub.get(&format!("/events/{id}")), 400, "topic-invalid");
    for (destination, status) in
        [("empty", 200), ("image", 200), ("script", 403), ("serviceworker", 403), ("style", 403)]
    {
        assert_eq!(one(&hub, id, &[("sec-fetch-dest", destination)]).status, status, "{destination}");
    }
    let many: Vec<(String, String)> = (0..70).map(|n| (format!("ce-a{n}"), "x".into())).collect();
    let many: Vec<_> = many.iter().map(|(name, value)| (&**name, &**value)).collect();
    let long = [("ce-own", &*"%E2%82%AC".repeat(700))];
    for more in [&many[..], &long] {
        let receipt = hub.post("/publish?topic=orders/eu", &[&REQUIRED[..], more].concat(), b"{}").json();
        let answer = one(&hub, receipt["id"].as_str().expect("an id"), &[]);
        assert_eq!(answer.headers.get("content-type"), Some(STRUCTURED.1), "its headers would be too large");
        assert_eq!((answer.headers.get("ce-id"), &answer.json()["id"]), (None, &json!("1")));
    }
    assert_eq!(hub.request("DELETE", &format!("/events/{id}?topic=orders/eu"), b"").status, 204);
    let tombstone = one(&hub, id, &[]);
    assert_eq!((tombstone.headers.get("ce-type"), tombstone.headers.get("ce-own")), (Some("hub.removed"), None));
    assert!(!tombstone.text().contains("script"));
}

#[test]
fn one_event_needs_the_right_to_subscribe_to_its_topic() {
    let tokens = tokens(&[("writer", "publish = [\"**\"]"), ("reader", "subscribe = [\"orders/*\"]")]);
    let hub = Hub::start_with(&["--access-tokens", &tokens]);
    let bearer = |name: &str| ("authorization", format!("Bearer {name}-token"));
    let (writer, reader) = (bearer("writer"), bearer("reader"));
    let publish = |topic: &str| {
        let receipt = hub.post(&format!("/publish?topic={topic}"), &[(writer.0, &writer.1)], b"x").json();
        receipt["id"].as_str().expect("an id").to_owned()
    };
    let (eu, other) = (publish("orders/eu"), publish("other"));
    let get = |token: &(&str, String), id: &str, topic: &str| {
        wire::request(hub.address, "GET", &format!("/events/{id}?topic={topic}"), &[(token.0, &token.1)], b"")
    };
    assert_eq!(get(&reader, &eu, "orders/eu").status, 200);
    assert_problem(&get(&reader, &other, "other"), 403, "forbidden");
    assert_problem(&get(&writer, &eu, "orders/eu"), 403, "forbidden");
    assert_problem(&hub.get(&format!("/events/{eu}?topic=orders/eu")), 401, "unauthorized");
}

#[test]
fn a_repeated_publish_adds_nothing_and_conditions_hold() {
    let hub = Hub::start();
    let body = event("1", &json!({"data": 1})).to_string();
    let key = [STRUCTURED, ("idempotency-key", "/shop 1"), ("if-match", "\"none\"")];
    let first = hub.post("/publish?topic=t", &key, body.as_bytes()).json();
    assert_eq!(hub.post("/publish?topic=t", &key, body.as_bytes()).json(), first);
    let other = event("2", &json!({"data": 1})).to_string();
    assert_problem(&hub.post("/publish?topic=t", &key, other.as_bytes()), 409, "idempotency-conflict");
    assert_problem(&hub.post("/publish?topic=t", &key[..1], b"{}"), 400, "body-invalid");
    let refused = [STRUCTURED, ("if-match", "\"none\"")];
    assert_problem(&hub.post("/publish?topic=t", &refused, body.as_bytes()), 412, "precondition-failed");
    let bad = json!([event("3", &json!({})), event("4", &json!({"type": ""}))]).to_string();
    let problem = assert_problem(&hub.post("/publish?topic=t", &[BATCHED], bad.as_bytes()), 400, "body-invalid");
    assert!(problem["detail"].as_str().expect("text").starts_with("[1]"), "{problem}");
    assert_eq!(hub.topic("t")["events"], 1, "all of a batch, or nothing");
    let unread = hub.post("/publish?topic=t&receipt=none", &[STRUCTURED], body.as_bytes());
    assert_eq!((unread.status, unread.text()), (204, String::new()));
    assert_eq!(hub.topic("t")["events"], 2);
}

#[test]
fn a_batch_tells_its_gaps_and_a_page_of_another_form_is_refused() {
    let hub = Hub::start();
    for n in 0..5 {
        hub.publish("t", &n.to_string());
    }
    hub.trim("t", 2);
    let first = hub.page("topic=t&from=earliest")["events"][0]["id"].clone();
    let epoch = first.as_str().expect("an id").split('-').next().expect("an epoch").to_owned();
    let events = batch(&hub, &format!("topic=t&last_event_id={epoch}-1")).json();
    assert_eq!((events.as_array().expect("events").len(), &events[0]["type"]), (3, &json!("hub.gap")));
    let gap = json!({"topic": "t", "after": format!("{epoch}-1"), "resumes_at": first, "reason": "trimmed"});
    assert_eq!(
        (&events[0]["data"], &events[0]["source"], &events[1]["gaplessid"]),
        (&gap, &json!("/topics/t"), &first)
    );
    assert_eq!(batch(&hub, &format!("topic=t&last_event_id={epoch}-1")).json()[0]["id"], events[0]["id"]);
    let get = |query: &str, accept: &str| {
        wire::request(hub.address, "GET", &format!("/events?topic=t&{query}"), &[("accept", accept)], b"")
    };
    assert_problem(&get("format=cloudevents", "application/json"), 400, "query-invalid");
    assert_problem(&get(&format!("before={epoch}-3"), BATCH), 400, "query-invalid");
    assert_problem(&get("format=cloudevent", "application/x-ndjson"), 400, "query-invalid");
}
