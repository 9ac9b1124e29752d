//! One log, two protocols: what is published is read as a stream, and what is appended as events.

use serde_json::{Value, json};

use crate::{
    stream::{BYTES, CLOSES, JSON, PROTOCOL, Stream, TEXT, next_offset},
    support::{
        assert_problem,
        hub::Hub,
        wire::{self, Answer, Upload},
    },
};

fn told(answer: &Answer) -> (u16, Option<&str>) {
    (answer.status, answer.headers.get("stream-closed"))
}

#[test]
fn what_is_published_is_read_as_a_stream_of_text() {
    let hub = Hub::start_with(&PROTOCOL);
    hub.publish("t", "a");
    let middle = hub.publish("t&event=named&retry=1000", "b\r\nb");
    hub.publish("t", "c");
    let stream = Stream::at(&hub, "t");
    let page = stream.get("?offset=-1");
    assert_eq!((page.status, page.headers.get("content-type")), (200, Some(TEXT)));
    assert_eq!(page.text(), "ab\r\nbc");
    assert_eq!(stream.put(&[("content-type", TEXT)], b"").status, 200, "it is there");
    assert_problem(&stream.put(&[("content-type", JSON)], b""), 409, "stream-exists");
    let mut reader = stream.sse("-1", None);
    assert_eq!(reader.data(3), ["a", "b\nb", "c"], "names and delays do not show");

    // The ids of events are offsets as well.
    assert_eq!(stream.read_after(&middle).0, b"c");
    assert_eq!(stream.sse("-1", Some(&middle)).data(1), ["c"]);
    assert_eq!(stream.sse(&middle, None).data(1), ["c"]);
    hub.publish("t", "live");
    assert_eq!(reader.data(1), ["live"]);
    assert_eq!(stream.read_after(&middle).0, b"clive");
    hub.publish("t&close=true", "end");
    assert_eq!(told(&stream.head()), (200, Some("true")));
    assert_eq!(reader.data(1), ["end"]);
    assert!(reader.next().unwrap().data.unwrap().contains("streamClosed"));
}

#[test]
fn what_is_appended_is_read_as_events_in_order() {
    let hub = Hub::start_with(&PROTOCOL);
    let mut live = hub.watch("topic=*&format=json");
    let (bytes, text) = (Stream::create(&hub, "bytes", BYTES), Stream::create(&hub, "text", TEXT));
    let messages = Stream::create(&hub, "json", JSON);
    bytes.append(BYTES, b"\xff\x00");
    text.append(TEXT, "plain");
    messages.append(JSON, r#"[{"a":1},2]"#);
    bytes.append(BYTES, "text");
    assert_eq!(text.post(&[("content-type", TEXT), CLOSES], b"end").status, 204);

    let envelopes: Vec<Value> = (0..6)
        .map(|_| std::iter::from_fn(|| live.next()).find(|message| message.event == "message").unwrap())
        .map(|message| serde_json::from_str(&message.data).unwrap())
        .collect();
    let seen: Vec<_> = envelopes.iter().map(|one| json!([one["topic"], one["encoding"], one["data"]])).collect();
    let want = [
        json!(["bytes", "base64", "/wA="]),
        json!(["text", null, "plain"]),
        json!(["json", null, "{\"a\":1}"]),
        json!(["json", null, "2"]),
        json!(["bytes", null, "text"]),
        json!(["text", null, "end"]),
    ];
    assert_eq!(seen, want);
    let page = hub.page("topic=bytes&topic=json&topic=text&from=earliest");
    assert_eq!(
        page["events"].as_array().unwrap().iter().map(|one| &one["id"]).collect::<Vec<_>>(),
        envelopes.iter().map(|one| &one["id"]).collect::<Vec<_>>()
    );
    let plain = hub.watch("topic=bytes&from=earliest").data(2);
    assert_eq!(plain, ["/wA=", "text"]);
    // The end of a stream is the end of its topic.
    assert_eq!(hub.topic("text")["closed"], true);
    assert_problem(&hub.post("/publish?topic=text", &[], b"x"), 409, "topic-closed");
    let id = envelopes[0]["id"].as_str().unwrap();
    assert_eq!(bytes.read_after(id).0, b"text");
}

#[test]
fn a_stream_of_json_takes_only_json_by_the_other_door() {
    let hub = Hub::start_with(&PROTOCOL);
    let stream = Stream::create(&hub, "json", JSON);
    hub.publish("json", " {\"a\":1} ");
    for body in ["{", "text", "1 2", ""] {
        let answer = hub.post("/publish?topic=json", &[("content-type", TEXT)], body.as_bytes());
        assert_problem(&answer, 409, "content-type-mismatch");
    }
    let json = [("content-type", JSON)];
    let single = hub.post("/publish", &json, br#"{"topic":"json","data":"no JSON"}"#);
    assert_problem(&single, 409, "content-type-mismatch");
    let batch = br#"[{"topic":"json","data":2},{"topic":"other","data":"x"},{"topic":"json","data":"x"}]"#;
    assert_problem(&hub.post("/publish", &json, batch), 409, "content-type-mismatch");
    assert_eq!(hub.get("/topics/other").status, 404, "nothing of it was published");
    assert_eq!(
        hub.post("/publish", &json, br#"[{"topic":"json","data":{"b":2}},{"topic":"json","data":"3"}]"#).status,
        200
    );

    let codes = |body: &str, content_type: &str, target: &str| {
        let mut upload = Upload::open(hub.address, target, &[("content-type", content_type)]);
        upload.send(body);
        upload.finish();
        let lines = upload.answer().rest();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|line| line["error"]["code"].as_str().unwrap_or("ok").to_owned()).collect::<Vec<_>>()
    };
    let lines =
        "{\"topic\":\"json\",\"data\":4}\n{\"topic\":\"json\",\"data\":\"x\"}\n{\"topic\":\"json\",\"data\":[5]}\n";
    assert_eq!(codes(lines, "application/x-ndjson", "/publish"), ["ok", "content-type-mismatch", "ok"]);
    let events = "data: 6\n\ndata: x y\n\ndata: \"7\"\n\n";
    assert_eq!(codes(events, "text/event-stream", "/publish?topic=json"), ["ok", "content-type-mismatch", "ok"]);
    let messages: Value = serde_json::from_slice(&stream.read()).unwrap();
    assert_eq!(messages, json!([{"a": 1}, {"b": 2}, 3, 4, [5], 6, "7"]));
    // Its forks are of JSON, too.
    let fork = Stream::at(&hub, "fork");
    assert_eq!(fork.fork_of(&stream, &[], b"").status, 201);
    assert_problem(&hub.post("/publish?topic=fork", &[], b"x"), 409, "content-type-mismatch");
}

#[test]
fn a_closed_stream_stays_closed_and_a_topic_does_not_have_to() {
    let hub = Hub::start_with(&PROTOCOL);
    let stream = Stream::create(&hub, "s", TEXT);
    assert_eq!(stream.post(&[CLOSES], b"").status, 204);
    assert_problem(&hub.request("PUT", "/topics/s", br#"{"closed":false}"#), 409, "topic-closed");
    assert_eq!(told(&stream.head()), (200, Some("true")));
    hub.put("s", r#"{"retention":{"max_events":5}}"#);
    hub.publish("t", "x");
    hub.put("t", r#"{"closed":true}"#);
    assert_eq!(told(&Stream::at(&hub, "t").head()), (200, Some("true")));
    hub.put("t", r#"{"closed":false}"#);
    assert_eq!(told(&Stream::at(&hub, "t").head()), (200, None));
}

#[test]
fn an_event_that_is_removed_is_read_by_nobody_and_offsets_go_on() {
    let hub = Hub::start_with(&PROTOCOL);
    for content_type in [TEXT, JSON] {
        let name = content_type.replace('/', ".");
        let stream = Stream::create(&hub, &name, content_type);
        let mut live = stream.sse("-1", None);
        let offsets: Vec<_> = (1..=3).map(|n: u8| stream.append(content_type, n.to_string())).collect();
        let bare = |data: Vec<String>| data.concat().replace(['[', ']'], "");
        assert_eq!(bare(live.data(3)), "123");
        let page = hub.page(&format!("topic={name}&from=earliest"));
        let id = page["events"][1]["id"].as_str().unwrap();
        assert_eq!(hub.request("DELETE", &format!("/events/{id}?topic={name}"), b"").status, 204);
        let all = if content_type == JSON { "[1,3]" } else { "13" };
        let rest = if content_type == JSON { "[3]" } else { "3" };
        assert_eq!(stream.text(), all);
        for offset in &offsets[..2] {
            assert_eq!(stream.read_after(offset).0, rest.as_bytes());
        }
        let (data, end) = stream.read_after(&offsets[2]);
        assert_eq!(data, if content_type == JSON { &b"[]"[..] } else { b"" });
        assert!(end >= offsets[2]);
        assert_eq!(end, next_offset(&stream.head()));
        assert_eq!(bare(stream.sse("-1", None).data(2)), "13");
        assert_eq!(bare(stream.sse("-1", Some(&offsets[0])).data(1)), "3");
        // Who has read it hears nothing of it but a position, and goes on.
        assert!(stream.append(content_type, "4") > end);
        assert_eq!(bare(live.data(1)), "4");
        let polled = stream.get(&format!("?offset={}&live=long-poll", offsets[2]));
        assert_eq!(polled.text(), if content_type == JSON { "[4]" } else { "4" });
    }
    let answer = wire::request(hub.address, "GET", "/events?topic=text.plain&from=earliest", &[("accept", JSON)], b"");
    assert_eq!(answer.json()["events"][1]["event"], "hub.removed", "who reads events is told");
}
