//! Every operation, each form of its answers, and what is refused: all of it as it is described.

use serde_json::{Value, json};

use crate::{
    recorder::Recorder,
    relaying,
    site::{self, MercureHub, access_claims, bearer, escaped, publisher, subscriber},
    support::{
        eventually,
        hub::Hub,
        tokens,
        wire::{Answer, Incoming},
    },
    whole_hub,
};

const JSON: (&str, &str) = ("accept", "application/json");
const SSE: (&str, &str) = ("accept", "text/event-stream");
const NDJSON: (&str, &str) = ("accept", "application/x-ndjson");
const LINES: (&str, &str) = ("content-type", "application/x-ndjson");
const OPERATOR: (&str, &str) = ("authorization", "Bearer operator-token");
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const CLOUD_EVENT: (&str, &str) = ("content-type", "application/cloudevents+json");
const CLOUD_EVENT_BATCH: (&str, &str) = ("content-type", "application/cloudevents-batch+json");
const CLOUD_EVENT_TEXT: &str = r#"{"specversion":"1.0","id":"1","source":"/s","type":"e","own":7,"flag":true,
    "subject":"x","time":"2026-11-27T20:52:26Z","dataschema":"https://s.example","datacontenttype":"application/json",
    "traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","data":{"n":1}}"#;
const CLOUD_EVENT_BYTES: &str =
    r#"{"specversion":"1.0","id":"2","source":"/s","type":"e","datacontenttype":"a/b","data_base64":"/w=="}"#;
const READER: (&str, &str) = ("authorization", "Bearer reader-token");

#[test]
fn every_answer_of_a_hub_is_as_it_is_described() {
    let (hub, _site) = whole_hub();
    let mut record = Recorder::new(hub.address);
    publish(&mut record);
    refused_publishes(&mut record);
    subscribe(&mut record, &hub);
    topics(&mut record, &hub);
    runs(&mut record, &hub);
    pass_through(&mut record);
    operators(&mut record);
    pages(&mut record);
    refused_anywhere(&mut record);
    let with_streams = durable_streams(&mut record);
    let with_mercure = mercure(&mut record);
    let guarded = with_credentials(&mut record);
    without_backups(&mut record);
    drop((guarded, with_streams, with_mercure));
    record.judge();
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value}"))
}

fn ok(answer: Answer) -> Answer {
    assert!(answer.status < 400, "{} {}", answer.status, answer.text());
    answer
}

fn publish(record: &mut Recorder) {
    let mut post = |target: &str, headers: &[_], body: &str| ok(record.send("POST", target, headers, body.as_bytes()));
    post("/publish?topic=t", &[], "one");
    post("/publish", &[], r#"{"topic":"t","data":{"n":1},"event":"e","retry":5}"#);
    post("/publish", &[], r#"[{"topic":"t","data":"a"},{"topic":"u","data":"b","close":true}]"#);
    post("/publish", &[LINES], "{\"topic\":\"t\",\"data\":\"x\"}\n{\"topic\":\"t\"}\n");
    post("/publish?topic=t", &[("content-type", "text/event-stream")], "data: x\n\n");
    post("/publish?topic=k", &[("idempotency-key", "k"), ("if-match", "\"none\"")], "x");
    post("/publish", &[], r#"{"topic":"t","data":"/w==","encoding":"base64"}"#);
    post("/publish?topic=t", &[("traceparent", TRACEPARENT)], "traced");
    post("/publish", &[], &format!(r#"{{"topic":"t","data":"traced","traceparent":"{TRACEPARENT}"}}"#));
    let binary = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "e"), ("ce-own", "x")];
    post("/publish?topic=c", &binary, "text");
    post("/publish?topic=c", &[CLOUD_EVENT], CLOUD_EVENT_TEXT);
    post("/publish?topic=t&receipt=none", &[], "unread");
    post("/publish?topic=c", &[CLOUD_EVENT_BATCH], &format!("[{CLOUD_EVENT_TEXT},{CLOUD_EVENT_BYTES}]"));
}

/// Streams of Durable Streams, at a hub that has them.
fn durable_streams(record: &mut Recorder) -> Hub {
    let hub = Hub::start_with(&["--protocols", "durable-streams", "--durable-streams-long-poll", "100ms"]);
    let record = record.at(hub.address);
    let text = ("content-type", "text/plain");
    let producer = |epoch, seq| [text, ("producer-id", "p"), ("producer-epoch", epoch), ("producer-seq", seq)];
    let mut status = |method: &str, target: &str, headers: &[_], body: &[u8], want: u16| {
        let answer = record.send(method, target, headers, body);
        assert_eq!(answer.status, want, "{method} {target} {}", answer.text());
        answer
    };
    let fork = [("stream-forked-from", "/v1/stream/s")];
    status("PUT", "/v1/stream/s", &[text], b"one", 201);
    status("PUT", "/v1/stream/s", &[text], b"", 200);
    status("PUT", "/v1/stream/s", &[("content-type", "text/html")], b"", 409);
    status("PUT", "/v1/stream/f", &fork, b"", 201);
    status("POST", "/v1/stream/s", &[text], b"two", 204);
    status("POST", "/v1/stream/s", &producer("1", "0"), b"three", 200);
    status("POST", "/v1/stream/s", &producer("1", "2"), b"x", 409);
    status("POST", "/v1/stream/s", &producer("0", "1"), b"x", 403);
    status("POST", "/v1/stream/s", &[("content-type", "text/html")], b"x", 409);
    status("POST", "/v1/stream/s", &[text, ("stream-seq", "b")], b"four", 204);
    status("POST", "/v1/stream/s", &[text, ("stream-seq", "a")], b"x", 409);
    let read = status("GET", "/v1/stream/s?offset=-1", &[], b"", 200);
    let tag = read.headers.get("etag").unwrap();
    status("GET", "/v1/stream/s?offset=-1", &[("if-none-match", tag)], b"", 304);
    status("GET", "/v1/stream/s?offset=now&live=long-poll", &[], b"", 204);
    status("GET", "/v1/stream/s?offset=abcd-1", &[], b"", 410);
    status("DELETE", "/v1/stream/s", &[], b"", 204);
    status("GET", "/v1/stream/s", &[], b"", 410);
    status("DELETE", "/v1/stream/f", &[], b"", 204);
    hub
}

fn refused_publishes(record: &mut Recorder) {
    let large = "x".repeat((1 << 20) + 1);
    for (target, headers, body, code) in [
        ("/publish", &[][..], &b"x"[..], "topic-invalid"),
        ("/publish?topic=t&event=hub.x", &[], b"x", "event-name-invalid"),
        ("/publish?topic=t", &[], b"\xff", "data-not-utf8"),
        ("/publish", &[], b"{", "body-invalid"),
        ("/publish?Topic=t", &[], b"x", "query-invalid"),
        ("/publish?topic=t", &[("if-match", "x")], b"x", "header-invalid"),
        ("/publish?topic=k", &[("idempotency-key", "k")], b"y", "idempotency-conflict"),
        ("/publish?topic=u", &[], b"x", "topic-closed"),
        ("/publish?topic=t", &[("if-match", "\"none\"")], b"x", "precondition-failed"),
        ("/publish?topic=new", &[("if-match", "\"abcd-1\"")], b"x", "precondition-failed"),
        ("/publish?topic=t", &[], large.as_bytes(), "too-large"),
        ("/publish?topic=t", &[("content-encoding", "gzip")], b"x", "encoding-unsupported"),
        ("/publish?topic=t", &[("content-type", "application/cloudevents+avro")], b"x", "event-format-unsupported"),
        ("/publish?topic=t", &[("origin", "https://other.example")], b"x", "origin-forbidden"),
    ] {
        let answer = record.send("POST", target, headers, body);
        assert_eq!(answer.json()["code"], code, "{target}");
    }
}

fn subscribe(record: &mut Recorder, hub: &Hub) {
    let event = |incoming: Incoming| assert_eq!(incoming.status, 200);
    let body = br#"{"topics":["t","u"],"from":"earliest"}"#;
    event(record.open(("GET", "/events?topic=t&from=earliest", b""), &[SSE], "data: x\n"));
    event(record.open(("GET", "/events?topic=*&from=earliest", b""), &[NDJSON], "\"end\":{\"topic\":\"u\""));
    event(record.open(("GET", "/events?topic=t&keepalive=event", b""), &[NDJSON], "{\"keepalive\":{}}\n"));
    event(record.open(("POST", "/events", body), &[SSE], "hub.end"));
    event(record.open(("POST", "/events", body), &[NDJSON], "\"end\":{\"topic\":\"u\""));

    ok(record.send("POST", "/events", &[JSON], body));
    ok(record.send("POST", "/events", &[JSON], br#"{"topics":["t"],"from":"earliest","metadata":true}"#));
    let page = ok(record.get("/events?topic=t&from=earliest&limit=2", &[JSON])).json();
    let next = text(&page["next"]);
    ok(record.get(&format!("/events?topic=t&before={next}"), &[JSON]));
    ok(record.get("/events?topic=t&since=1h&wait=1s", &[JSON]));
    let batch = ok(record.get("/events?topic=c&from=earliest", &[("accept", CLOUD_EVENT_BATCH.1)])).json();
    event(record.open(("GET", "/events?topic=c&from=earliest&format=cloudevents", b""), &[NDJSON], "/w=="));
    ok(record.send("POST", "/events", &[("accept", CLOUD_EVENT_BATCH.1)], br#"{"topics":["c"],"from":"earliest"}"#));
    let one = format!("/events/{}?topic=c", text(&batch[0]["gaplessid"]));
    for accept in [&[][..], &[JSON], &[("accept", CLOUD_EVENT.1)]] {
        ok(record.get(&one, accept));
    }
    assert_eq!(record.get("/events/zzzz-1?topic=c", &[]).status, 404);

    for _ in 0..3 {
        hub.publish("trimmed", "x");
    }
    hub.trim("trimmed", 1);
    let first = format!("{}-1", next.split('-').next().unwrap());
    ok(record.get(&format!("/events?topic=trimmed&last_event_id={first}"), &[JSON]));
    event(record.open(("GET", "/events?topic=t&last_event_id=zzzz-1", b""), &[NDJSON], "{\"gap\":"));

    let end = hub.topic("u")["last_id"].clone();
    let ended = ok(record.get("/events?topic=u", &[("last-event-id", text(&end))]));
    let posted = ok(record.send("POST", "/events", &[("last-event-id", text(&end))], br#"{"topics":["u"]}"#));
    assert_eq!((ended.status, posted.status), (204, 204));

    for (target, code) in [
        ("/events", "topic-invalid"),
        ("/events?topic=t&from=never", "query-invalid"),
        ("/events?topic=t&channel=x", "query-invalid"),
    ] {
        assert_eq!(record.get(target, &[]).json()["code"], code, "{target}");
    }
    assert_eq!(record.send("POST", "/events", &[], b"topic=t").json()["code"], "body-invalid");

    let id = hub.publish("t", "secret");
    assert_eq!(record.send("DELETE", &format!("/events/{id}?topic=t"), &[], b"").status, 204);
    ok(record.get(&format!("/events?topic=t&last_event_id={next}"), &[JSON]));
    for (target, code) in [
        (format!("/events/{id}?topic=unused"), "event-unknown"),
        (format!("/events/{id}"), "topic-invalid"),
        ("/events/x?topic=t".into(), "id-invalid"),
    ] {
        assert_eq!(record.send("DELETE", &target, &[], b"").json()["code"], code, "{target}");
    }
}

fn topics(record: &mut Recorder, hub: &Hub) {
    ok(record.get("/topics", &[]));
    ok(record.get("/topics?prefix=t&search=t&limit=1", &[]));
    ok(record.get("/topics/t", &[]));
    let settings = br#"{"retention":{"max_events":10,"max_age":"7d","max_bytes":1000},"retry":5,"closed":false}"#;
    ok(record.send("PUT", "/topics/deep%2Fer", &[], settings));
    ok(record.get("/topics/deep/er", &[]));
    assert_eq!(record.send("DELETE", "/topics/deep/er", &[], b"").status, 204);
    assert_eq!(record.get("/topics/unused", &[]).json()["code"], "topic-unknown");
    assert_eq!(record.get("/topics/a*", &[]).json()["code"], "topic-invalid");
    assert_eq!(record.get("/topics?limit=0", &[]).json()["code"], "query-invalid");
    assert_eq!(record.send("PUT", "/topics/t", &[], b"[]").json()["code"], "body-invalid");
    assert_eq!(record.send("PUT", "/topics/t", &[], &[b' '; 9000]).json()["code"], "too-large");
    ok(record.get("/whoami", &[]));
    assert_eq!(record.get("/whoami?token=x", &[]).json()["code"], "query-invalid");
    assert_eq!(hub.topic("t")["topic"], "t");
}

/// The body of a run that does what the word says.
fn run(word: &str, topic: &str) -> Vec<u8> {
    let messages = json!([{"role": "user", "content": word}]);
    let run = json!({"provider": "openai", "topic": topic, "request": {"model": "gpt-4o-mini", "messages": messages}});
    run.to_string().into_bytes()
}

/// Begins a run and waits for its end.
fn ended(record: &mut Recorder, hub: &Hub, word: &str, topic: &str) -> String {
    let begun = ok(record.send("POST", "/runs", &[], &run(word, topic))).json();
    let target = format!("/runs/{}", text(&begun["run"]));
    eventually("the run ends", || hub.get(&target).json()["status"] != "running");
    target
}

fn runs(record: &mut Recorder, hub: &Hub) {
    let said = ended(record, hub, "say", "chats/1");
    let looked = ended(record, hub, "look", "chats/2");
    let failed = ended(record, hub, "fail", "chats/3");
    for target in [&said, &looked, &failed] {
        ok(record.get(target, &[]));
    }
    hub.trim("chats/1", 1);
    ok(record.get(&said, &[]));

    for format in ["events", "ndjson", "text", "ai-sdk", "raw"] {
        let topic = format!("formats/{format}");
        ok(record.send("POST", &format!("/runs?format={format}"), &[SSE], &run("say", &topic)));
    }
    for format in ["events", "ndjson", "text"] {
        ok(record.get(&format!("{looked}/events?format={format}&batch_ms=10"), &[]));
        ok(record.get(&format!("/runs/active?topic=chats/2&seen=&format={format}"), &[]));
    }
    assert_eq!(record.get("/runs/active?topic=chats/2", &[]).status, 204);
    let last = hub.get(&looked).json()["last_id"].clone();
    assert_eq!(record.get(&format!("{looked}/events"), &[("last-event-id", text(&last))]).status, 204);

    ok(record.get("/runs?limit=1", &[]));
    ok(record.get("/runs?status=completed&topic=formats/raw", &[]));
    ok(record.send("POST", &format!("{looked}/stop"), &[], b""));
    assert_eq!(record.send("DELETE", &looked, &[], b"").status, 204);

    let refused = ended(record, hub, "refuse", "chats/5");
    assert_eq!(ok(record.get(&refused, &[])).json()["error"]["status"], 402);
    let hanging = ok(record.send("POST", "/runs", &[], &run("hang", "chats/6"))).json();
    assert_eq!(record.send("POST", "/runs", &[], &run("say", "chats/6")).json()["code"], "topic-busy");
    ok(record.send("POST", &format!("{}?mode=drain", text(&hanging["stop"])), &[], b""));
    ok(record.send("POST", text(&hanging["stop"]), &[], b""));
    let unknown = &[("last-event-id", "abcd-1")];
    assert_eq!(record.send("POST", "/runs", unknown, &run("say", "chats/7")).json()["code"], "cursor-unknown");
    for (method, target, code) in [
        ("GET", "/runs/none", "run-unknown"),
        ("GET", "/runs/none/events", "run-unknown"),
        ("POST", "/runs/none/stop", "run-unknown"),
        ("DELETE", "/runs/none", "run-unknown"),
        ("GET", "/runs?status=odd", "query-invalid"),
        ("GET", "/runs/active", "topic-invalid"),
        ("POST", "/runs?Format=raw", "query-invalid"),
        ("GET", "/runs/none?access-token=x", "query-invalid"),
        ("DELETE", "/runs/none?Access_Token=x", "query-invalid"),
    ] {
        assert_eq!(record.send(method, target, &[], b"").json()["code"], code, "{method} {target}");
    }
}

fn pass_through(record: &mut Recorder) {
    let chat = br#"{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"say"}]}"#;
    ok(record.send("POST", "/relay/openai/v1/chat/completions", &[], chat));
    ok(record.get("/relay/openai/v1/models", &[]));
    for method in ["PUT", "PATCH", "DELETE"] {
        assert_eq!(record.send(method, "/relay/openai/v1/files/x", &[], b"").status, 403);
    }
    assert_eq!(record.get("/relay/nobody/v1/models", &[]).json()["code"], "not-found");
}

fn operators(record: &mut Recorder) {
    ok(record.get("/admin/stats", &[]));
    record.open(("GET", "/admin/stats", b""), &[SSE], "\n\n");
    ok(record.get("/admin/history", &[]));
    let stream = record.open(("GET", "/events?topic=held", b""), &[SSE], "\n\n");
    let other = record.open(("GET", "/events?topic=held", b""), &[SSE], "\n\n");
    let page = ok(record.get("/admin/streams?topic=held&limit=1&sort=behind", &[])).json();
    let after = text(&page["next"]);
    ok(record.get(&format!("/admin/streams?topic=held&sort=behind&after={after}"), &[]));
    let id = text(&page["streams"][0]["id"]);
    assert_eq!(record.send("DELETE", &format!("/admin/streams/{id}"), &[], b"").status, 204);
    assert_eq!(record.send("DELETE", "/admin/streams/s99-1", &[], b"").json()["code"], "stream-unknown");
    ok(record.send("DELETE", "/admin/streams?holder=ann", &[], b""));
    assert_eq!(record.send("DELETE", "/admin/streams", &[], b"").json()["code"], "query-invalid");
    drop((stream, other));
    ok(record.get("/metrics", &[]));
    let protobuf = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
    ok(record.get("/metrics", &[("accept", protobuf)]));
    ok(record.get("/healthz", &[]));
    ok(record.get("/readyz", &[]));
    ok(record.send("POST", "/backup", &[], b""));
    assert_eq!(record.send("POST", "/backup", &[], b"x").json()["code"], "body-invalid");
}

fn pages(record: &mut Recorder) {
    for target in [
        "/",
        "/console/app.js",
        "/console/style.css",
        "/console/icon.svg",
        "/openapi.json",
        "/site/",
        "/site/style.css",
    ] {
        let answer = ok(record.get(target, &[]));
        let tag = answer.headers.get("etag").unwrap();
        assert_eq!(record.get(target, &[("if-none-match", tag)]).status, 304, "{target}");
    }
    ok(record.get("/docs/PROTOCOL.md", &[]));
    assert_eq!(record.get("/site", &[]).status, 302);
    assert_eq!(record.get("/site/deep", &[]).status, 302);
    for target in ["/console/none", "/docs/NONE.md", "/site/none"] {
        assert_eq!(record.get(target, &[]).json()["code"], "not-found", "{target}");
    }
}

fn refused_anywhere(record: &mut Recorder) {
    let large = "x".repeat(10_000);
    for target in ["/topics", "/healthz", "/openapi.json"] {
        assert_eq!(record.get(target, &[("x-large", &large)]).json()["code"], "headers-too-large");
    }
    assert_eq!(record.get("/topics", &[("authorization", "x"), ("authorization", "x")]).status, 200, "an open hub");
    assert_eq!(record.get("/topics", &[("host", "twice.example")]).json()["code"], "header-invalid");
    let gzip = [("transfer-encoding", "gzip, chunked")];
    assert_eq!(record.get("/topics", &gzip).json()["code"], "transfer-encoding-unsupported");
    assert_eq!(record.get("/nowhere", &[]).json()["code"], "not-found");
    assert_eq!(record.send("BREW", "/topics", &[], b"").json()["code"], "method-not-allowed");
    let preflight = [("origin", "https://other.example"), ("access-control-request-method", "POST")];
    assert_eq!(record.send("OPTIONS", "/publish", &preflight, b"").json()["code"], "origin-forbidden");
}

fn mercure(record: &mut Recorder) -> MercureHub {
    let hub = MercureHub::start_with(&["--mercure-anonymous", "--mercure-subscriptions"]);
    let record = record.at(hub.address);
    publish_by_mercure(record);

    let target = format!("{}?topic=a&last_event_id=earliest", site::PATH);
    let stream = record.open(("GET", &target, b""), &[SSE], "data: x\n");
    assert_eq!((stream.status, stream.headers.get("mercure-last-event-id")), (200, Some("earliest")));
    let streams = [stream, subscribed(record, "topic=a&match=a"), subscribed(record, "match_urlpattern=/:x")];
    for (query, code) in [("", "query-invalid"), ("?topic=a&authorization=x", "unauthorized")] {
        assert_eq!(record.get(&format!("{}{query}", site::PATH), &[]).json()["code"], code, "{query}");
    }
    ok(record.get("/.well-known/oauth-protected-resource/.well-known/mercure", &[]));

    let all = format!("{}/subscriptions", site::PATH);
    let tokens = [
        bearer(&subscriber(&["*"])),
        bearer(&site::token("at+jwt", &access_claims(&["subscribe"], &json!([{"match": "*"}])))),
    ];
    let list = ok(record.get(&all, &[("authorization", &tokens[0])])).json();
    let subscriptions = list["subscriptions"].as_array().unwrap();
    assert_eq!(subscriptions.len(), 4);
    let mut targets = vec![all.clone(), format!("{all}/a"), format!("{all}/exact/a")];
    targets.extend(subscriptions.iter().map(|subscription| text(&subscription["id"]).to_owned()));
    for (target, token) in targets.iter().flat_map(|target| tokens.iter().map(move |token| (target, token))) {
        let answer = ok(record.get(target, &[("authorization", token)]));
        let tag = answer.headers.get("etag").unwrap();
        assert_eq!(record.get(target, &[("authorization", token), ("if-none-match", tag)]).status, 304, "{target}");
    }
    let narrow = bearer(&subscriber(&["a"]));
    for target in &targets[..3] {
        assert_eq!(record.get(target, &[]).json()["code"], "unauthorized", "{target}");
        assert_eq!(record.get(target, &[("authorization", &narrow)]).json()["code"], "forbidden", "{target}");
        let target = format!("{target}?after=x");
        assert_eq!(record.get(&target, &[("authorization", &tokens[0])]).json()["code"], "query-invalid", "{target}");
    }
    for target in [format!("{all}/a/nobody"), format!("{all}/exact/a/nobody")] {
        assert_eq!(record.get(&target, &[("authorization", &tokens[0])]).json()["code"], "not-found", "{target}");
    }
    drop(streams);
    hub
}

/// A stream of Mercure by a token with a payload.
fn subscribed(record: &mut Recorder, query: &str) -> Incoming {
    let token = bearer(&site::token("JWT", &json!({"mercure": {"subscribe": ["*"], "payload": {"name": "Ann"}}})));
    record.open(("GET", &format!("{}?{query}", site::PATH), b""), &[SSE, ("authorization", &token)], "hub.cursor")
}

fn publish_by_mercure(record: &mut Recorder) {
    let token = bearer(&publisher(&["a", "https://example.com/{id}", "/.well-known/mercure/{+any}"]));
    let form = ("content-type", "application/x-www-form-urlencoded");
    let headers = [form, ("authorization", &*token)];
    let uri = format!("topic={}&topic=a&data=x&id=own", escaped("https://example.com/1"));
    for body in ["topic=a&data=x", "topic=a&private=on&type=t&retry=5", &uri] {
        ok(record.send("POST", site::PATH, &headers, body.as_bytes()));
    }
    let keyed = [&headers[..], &[("idempotency-key", "k")]].concat();
    ok(record.send("POST", site::PATH, &keyed, b"topic=a&data=1"));
    let large = format!("topic=a&data={}", "x".repeat(5 << 20));
    let cookie = format!("mercureAuthorization={}", publisher(&["a"]));
    for (headers, body, code) in [
        (&headers[..], "topic=a&data=%FF", "body-invalid"),
        (&headers, "data=x", "topic-invalid"),
        (&headers, "topic=/.well-known/mercure/x", "topic-invalid"),
        (&headers, "topic=b", "forbidden"),
        (&headers, &large, "too-large"),
        (&headers[..1], "topic=a", "unauthorized"),
        (&[form, ("cookie", &cookie)], "topic=a", "header-invalid"),
        (&keyed, "topic=a&data=2", "idempotency-conflict"),
        (&[form, headers[1], ("content-encoding", "gzip")], "topic=a", "encoding-unsupported"),
    ] {
        let answer = record.send("POST", site::PATH, headers, body.as_bytes());
        assert_eq!(answer.json()["code"], code, "{body:.60}");
    }
}

/// What only a hub with credentials and an address of its operators answers.
fn with_credentials(record: &mut Recorder) -> Hub {
    let operator = "admin = true, publish = [\"**\"], subscribe = [\"**\"], relay = [\"*\"]";
    let tokens = tokens(&[("operator", operator), ("reader", "subscribe = [\"a\"]")]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let apart = listener.local_addr().unwrap();
    drop(listener);
    let [key, providers] = relaying();
    let arguments =
        ["--access-tokens", &tokens, "--admin-listen", &apart.to_string(), &key, &providers.clone()].map(str::to_owned);
    let hub = Hub::start_with(&arguments.each_ref().map(|argument| &**argument));

    let record = record.at(hub.address);
    for (method, target) in [
        ("POST", "/publish?topic=a"),
        ("GET", "/events?topic=a"),
        ("GET", "/topics"),
        ("PUT", "/topics/a"),
        ("GET", "/runs"),
        ("POST", "/backup"),
        ("GET", "/relay/openai/v1/models"),
    ] {
        let bad = [("authorization", "Bearer bad")];
        assert_eq!(record.send(method, target, &bad, b"").status, 401, "{method} {target}");
    }
    for (method, target, body) in [
        ("POST", "/publish?topic=a", &b"x"[..]),
        ("GET", "/events?topic=b", b""),
        ("GET", "/topics/b", b""),
        ("DELETE", "/topics/a", b""),
        ("DELETE", "/events/abcd-1?topic=a", b""),
        ("GET", "/runs/active?topic=b", b""),
        ("POST", "/runs", &run("say", "a")),
        ("POST", "/backup", b""),
    ] {
        assert_eq!(record.send(method, target, &[READER], body).json()["code"], "forbidden", "{method} {target}");
    }
    for target in ["/admin/stats", "/admin/history", "/admin/streams", "/metrics"] {
        assert_eq!(record.get(target, &[OPERATOR]).json()["code"], "not-found", "{target}");
    }
    ok(record.get("/whoami", &[]));
    ok(record.get("/whoami", &[OPERATOR]));

    ok(record.send("POST", "/publish?topic=a", &[OPERATOR], b"x"));
    let begun = ok(record.send("POST", "/runs", &[OPERATOR], &run("hang", "chats/1"))).json();
    ok(record.send("POST", text(&begun["stop"]), &[OPERATOR], b""));
    ok(record.get(&format!("/runs/{}", text(&begun["run"])), &[OPERATOR]));
    ok(record.get("/runs", &[OPERATOR]));

    let stream = record.open(("GET", "/events?topic=a", b""), &[READER, SSE], "\n\n");
    let record = record.at(apart);
    ok(record.get("/admin/stats", &[]));
    ok(record.get("/admin/streams?holder=reader", &[]));
    ok(record.get("/whoami", &[]));
    ok(record.get("/openapi.json", &[]));
    ok(record.send("DELETE", "/admin/streams?holder=reader", &[], b""));
    assert_eq!(record.get("/topics", &[]).json()["code"], "not-found");
    assert_eq!(record.get("/admin/stats", &[("origin", "https://x.example")]).status, 200);
    drop(stream);
    hub
}

fn without_backups(record: &mut Recorder) {
    let hub = Hub::start_with(&["--engine", "memory"]);
    let record = record.at(hub.address);
    assert_eq!(record.send("POST", "/backup", &[], b"").json()["code"], "backup-unsupported");
    assert_eq!(record.get("/runs", &[]).json()["code"], "not-found", "it relays to no provider");
    ok(record.get("/admin/stats", &[]));
    ok(record.get("/whoami", &[]));
}
