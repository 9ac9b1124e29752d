//! Ids of requests, and what the log has of them.

use std::process::Command;

use serde_json::Value;

use super::{
    reload::{READER, RELOADED, Settings, WRITER, access},
    support::{eventually, hub::Hub, tokens, wire},
};

const FINISHED: &str = "request finished";
const ENDED: &str = "stream finished";

/// A hub that logs as JSON.
fn logging(arguments: &[&str]) -> Hub {
    Hub::start_with(&[&["--log-format", "json"], arguments].concat())
}

/// The log's lines with this message so far.
fn lines(hub: &Hub, message: &str) -> Vec<Value> {
    let all = hub.log();
    let all = all.lines().map(|line| serde_json::from_str::<Value>(line).expect("a JSON line"));
    all.filter(|line| line["message"] == message).collect()
}

/// Waits for the line with this message about the request with this id.
fn line(hub: &Hub, message: &str, id: &str) -> Value {
    let mut found = None;
    eventually("the line is there", || {
        found = lines(hub, message).into_iter().find(|line| line["request.id"] == id);
        found.is_some()
    });
    found.unwrap()
}

fn id(headers: &wire::Headers) -> String {
    headers.get("x-request-id").expect("every response has one").to_owned()
}

#[test]
fn every_response_has_an_id_and_every_problem_says_it() {
    let hub = Hub::start();
    let mut ids = std::collections::BTreeSet::new();
    for (method, target, status) in [
        ("GET", "/healthz", 200),
        ("GET", "/", 200),
        ("OPTIONS", "/publish", 204),
        ("HEAD", "/events?topic=t", 200),
        ("GET", "/nowhere", 404),
        ("PUT", "/publish", 405),
        ("POST", "/publish", 400),
        ("GET", "/events?topic=$t", 400),
        ("GET", "/topics/unknown", 404),
    ] {
        // Not from a trusted proxy: anyone could choose the id of another's request.
        let answer = wire::request(hub.address, method, target, &[("x-request-id", "chosen")], b"");
        assert_eq!(answer.status, status, "{method} {target}");
        let id = id(&answer.headers);
        assert_ne!(id, "chosen");
        if status >= 400 {
            assert_eq!(answer.json()["request_id"], *id, "{method} {target}");
        }
        assert!(ids.insert(id), "{method} {target}");
    }
    assert!(ids.insert(id(&hub.watch("topic=t").incoming.headers)), "a stream, too");
}

#[test]
fn a_trusted_proxy_chooses_the_id_and_a_bad_one_is_replaced() {
    let hub = Hub::start_with(&["--open", "--http-trusted-proxies", "127.0.0.1"]);
    let ask = |sent: &str| {
        let answer = wire::request(hub.address, "GET", "/nowhere", &[("x-request-id", sent)], b"");
        assert_eq!(answer.json()["request_id"], *id(&answer.headers));
        id(&answer.headers)
    };
    assert_eq!(ask("7f9a-from-the-proxy"), "7f9a-from-the-proxy");
    for bad in ["", "two words", &"x".repeat(65)] {
        assert!(!ask(bad).contains('x') && !ask(bad).contains("two"), "{bad}");
    }
}

#[test]
fn a_finished_request_is_one_line_without_secrets_and_payloads() {
    let grants = "publish = [\"news\"], subscribe = [\"news\"]";
    let arguments = ["--access-tokens", &tokens(&[("ann", grants)]), "--access-query-publish", "--log-requests"];
    let hub = logging(&arguments);
    for (target, headers) in [
        ("/publish?topic=news&access_token=ann-token", &[][..]),
        ("/publish?topic=news", &[("authorization", "Bearer ann-token")]),
        ("/publish?topic=news", &[("cookie", "gapless=ann-token"), ("origin", &hub.url())]),
    ] {
        let answer = hub.post(target, headers, b"the-payload");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let line = line(&hub, FINISHED, &id(&answer.headers));
        assert_eq!(
            (&line["http.method"], &line["http.path"], &line["http.status"]),
            (&"POST".into(), &"/publish".into(), &200.into())
        );
        assert_eq!((&line["holder"], &line["client.addr"]), (&"ann".into(), &"127.0.0.1".into()));
        assert_eq!((&line["bytes"], &line["outcome"]), (&answer.body.len().into(), &"complete".into()));
        assert!(line["duration_ms"].as_f64().unwrap() > 0.0, "{line}");
        assert_eq!(line["target"], "gapless::requests");
    }
    let refused = hub.get("/events?topic=news&access_token=wrong-token");
    let line = line(&hub, FINISHED, &id(&refused.headers));
    assert_eq!(
        (&line["http.status"], &line["holder"], &line["bytes"]),
        (&401.into(), &Value::Null, &refused.body.len().into())
    );
    assert_eq!(lines(&hub, FINISHED).len(), 4, "one for each");
    for secret in ["token", "payload", "access_", "?"] {
        assert!(!hub.log().contains(secret), "{secret}: {}", hub.log());
    }
}

#[test]
fn an_empty_body_a_head_and_a_page_are_complete() {
    let hub = logging(&["--log-requests"]);
    hub.publish("t", "data");
    for (method, target, status) in [
        ("OPTIONS", "/publish", 204),
        ("HEAD", "/events?topic=t", 200),
        ("HEAD", "/", 200),
        ("GET", "/", 200),
        ("GET", "/docs/PROTOCOL.md", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/topics/t", 200),
    ] {
        let answer = wire::request(hub.address, method, target, &[], b"");
        let line = line(&hub, FINISHED, &id(&answer.headers));
        assert_eq!((&line["http.status"], &line["outcome"]), (&status.into(), &"complete".into()), "{method} {target}");
        let sent = if method == "HEAD" { 0 } else { answer.body.len() };
        assert_eq!(line["bytes"], sent, "{method} {target}");
    }
}

#[test]
fn a_stream_is_one_line_when_it_has_ended_and_says_why() {
    let mut hub = logging(&["--log-requests"]);
    hub.publish("t", "before");
    let mut closed = hub.watch("topic=t");
    let mut drained = hub.watch("topic=a&topic=b&topic=c&topic=d&topic=e&topic=f");
    let left = hub.watch("topic=t");
    hub.wait_for_streams("t", 2);
    for data in ["one", "two"] {
        hub.publish("t", data);
    }
    assert_eq!(closed.data(2), ["one", "two"]);
    let id_left = id(&left.incoming.headers);
    drop(left);
    let line_left = line(&hub, ENDED, &id_left);
    assert_eq!(line_left["outcome"], "client_left");
    hub.put("t", "{\"closed\":true}");
    let line_closed = line(&hub, ENDED, &id(&closed.incoming.headers));
    assert_eq!((&line_closed["outcome"], &line_closed["topics"]), (&"topics_closed".into(), &"t".into()));
    assert_eq!((&line_closed["events"], &line_closed["http.path"]), (&2.into(), &"/events".into()));
    assert!(line_closed["bytes"].as_u64().unwrap() > 20, "{line_closed}");
    let id_drained = id(&drained.incoming.headers);
    hub.terminate();
    assert_eq!(drained.next(), None);
    assert_eq!(hub.wait(), Some(0));
    let line_drained = line(&hub, ENDED, &id_drained);
    assert_eq!((&line_drained["outcome"], &line_drained["events"]), (&"draining".into(), &0.into()));
    assert_eq!(line_drained["topics"], "a, b, c, d and 2 more");
    assert_eq!(lines(&hub, ENDED).len(), 3, "one for each");
    assert!(lines(&hub, FINISHED).iter().all(|line| line["http.path"] != "/events"), "and no other");
}

#[test]
fn a_stream_that_loses_its_credential_or_does_not_read_says_so() {
    let log = "[log]\nrequests = true\nformat = \"json\"\n[stream]\nwrite_timeout = \"1s\"\n";
    let settings = Settings::start(&format!("{}{log}", access(&[WRITER, ("goes", READER), ("stays", READER)])));
    let watch = |token: &str| settings.hub.watch(&format!("topic=news&access_token={token}-token"));
    let (mut goes, stalls) = (watch("goes"), watch("stays"));
    let ids = (id(&goes.incoming.headers), id(&stalls.incoming.headers));
    settings.reload(&format!("{}{log}", access(&[WRITER, ("stays", READER)])), RELOADED);
    assert_eq!(goes.next(), None);
    let revoked = line(&settings.hub, ENDED, &ids.0);
    assert_eq!((&revoked["outcome"], &revoked["holder"]), (&"credential_ended".into(), &"goes".into()));
    let data = vec![b'x'; 500_000];
    eventually("the stream that is not read is closed", || {
        settings.hub.post("/publish?topic=news", &[("authorization", "Bearer writer-token")], &data);
        lines(&settings.hub, ENDED).len() == 2
    });
    let stalled = line(&settings.hub, ENDED, &ids.1);
    assert_eq!((&stalled["outcome"], &stalled["holder"]), (&"stalled".into(), &"stays".into()));
    assert!(stalled["events"].as_u64().unwrap() > 0, "{stalled}");
}

#[test]
fn requests_of_http_2_are_logged_like_all_others() {
    let hub = logging(&["--log-requests", "--log-level", "gapless=debug"]);
    let url = format!("http://{}/nowhere", hub.address);
    let output = Command::new("curl").args(["-s", "-i", "--http2-prior-knowledge", &url]).output().expect("curl");
    let text = String::from_utf8(output.stdout).unwrap();
    let id = text.lines().find_map(|line| line.strip_prefix("x-request-id: ")).expect("an id");
    let finished = line(&hub, FINISHED, id);
    assert_eq!((&finished["http.status"], &finished["outcome"]), (&404.into(), &"complete".into()));
    let refused = lines(&hub, "refused a request").remove(0);
    let names: Vec<_> = refused["spans"].as_array().unwrap().iter().map(|span| span["name"].as_str()).collect();
    assert_eq!((names, &refused["spans"][0]["http.version"]), (vec![Some("connection"), Some("request")], &"2".into()));
}

#[test]
fn requests_are_logged_only_when_asked_but_then_at_any_level() {
    let silent = logging(&[]);
    assert_eq!(silent.get("/healthz").status, 200);
    let hub = logging(&["--log-requests", "--log-level", "off"]);
    let answer = hub.get("/healthz");
    line(&hub, FINISHED, &id(&answer.headers));
    assert_eq!(hub.log().lines().count(), 1, "nothing else: {}", hub.log());
    assert!(!silent.log().contains(FINISHED), "{}", silent.log());
}

#[test]
fn a_reload_begins_and_ends_the_lines_about_requests() {
    let text = |on: bool| format!("{}[log]\nformat = \"json\"\nrequests = {on}\n", access(&[WRITER]));
    let settings = Settings::start(&text(false));
    let hub = &settings.hub;
    let ask = || id(&hub.get("/healthz").headers);
    let mut reloads = 0;
    let mut reload = |on| {
        settings.reload(&text(on), RELOADED);
        reloads += 1;
        eventually("it is in force", || lines(hub, RELOADED).len() == reloads);
    };
    ask();
    reload(true);
    let logged = ask();
    line(hub, FINISHED, &logged);
    reload(false);
    ask();
    reload(true);
    let last = ask();
    line(hub, FINISHED, &last);
    let ids: Vec<_> = lines(hub, FINISHED).into_iter().map(|line| line["request.id"].clone()).collect();
    assert_eq!(ids, [logged, last]);
    assert!(!hub.log().contains("need a restart"), "{}", hub.log());
}

#[test]
fn lines_about_a_request_carry_its_connection_its_id_and_its_trace() {
    let hub = logging(&["--log-level", "gapless=debug"]);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let headers = [("traceparent", parent.as_str()), ("content-type", "text/plain"), ("if-match", "junk")];
    let answer = hub.post("/publish?topic=$t&access_token=secret", &headers, b"x");
    assert_eq!(answer.status, 400);
    let refused = || lines(&hub, "refused a request");
    eventually("it is logged", || !refused().is_empty());
    let line = refused().remove(0);
    let [connection, request] = &line["spans"].as_array().unwrap()[..] else { panic!("{line}") };
    assert_eq!((&connection["name"], &connection["listener"]), (&"connection".into(), &"public".into()));
    assert_eq!((&connection["tls"], &connection["http.version"]), (&false.into(), &"1.1".into()));
    assert!(connection["client.addr"].as_str().unwrap().starts_with("127.0.0.1:"), "{connection}");
    assert_eq!((&request["name"], &request["http.method"]), (&"request".into(), &"POST".into()));
    assert_eq!((&request["http.path"], &request["trace.id"]), (&"/publish".into(), &trace.into()));
    assert_eq!(request["request.id"], *id(&answer.headers));
    assert!(!hub.log().contains("secret"), "{}", hub.log());
}
