//! Every refusal is a problem with a stable code that says what to change.

use super::support::{assert_problem, hub::Hub, wire};

#[test]
fn every_refusal_is_a_problem() {
    let hub = Hub::start();
    hub.put("shut", r#"{"closed":true}"#);
    hub.post("/publish?topic=t", &[("idempotency-key", "k")], b"x");
    let gzip = [("content-encoding", "gzip")];
    for (method, target, headers, body, status, code) in [
        ("POST", "/publish?topic=", &[][..], &b"x"[..], 400, "topic-invalid"),
        ("POST", "/publish", &[], b"x", 400, "topic-invalid"),
        ("POST", "/publish?topic=t&event=hub.x", &[], b"x", 400, "event-name-invalid"),
        ("POST", "/publish?topic=t", &[], b"\xff", 400, "data-not-utf8"),
        ("POST", "/publish", &[], b"{", 400, "body-invalid"),
        ("POST", "/publish?topic=t&retry=x", &[], b"x", 400, "query-invalid"),
        ("POST", "/publish?topic=t", &[("if-match", "x")], b"x", 400, "header-invalid"),
        ("GET", "/nowhere", &[], b"", 404, "not-found"),
        ("GET", "/topics/", &[], b"", 404, "not-found"),
        ("GET", "/topics/unused", &[], b"", 404, "topic-unknown"),
        ("DELETE", "/topics/unused", &[], b"", 404, "topic-unknown"),
        ("GET", "/topics/a*", &[], b"", 400, "topic-invalid"),
        ("PUT", "/topics/t", &[], b"[]", 400, "body-invalid"),
        ("POST", "/publish?topic=t", &[("idempotency-key", "k")], b"y", 409, "idempotency-conflict"),
        ("POST", "/publish?topic=shut", &[], b"x", 409, "topic-closed"),
        ("POST", "/publish?topic=t", &[("if-match", "\"none\"")], b"x", 412, "precondition-failed"),
        ("POST", "/publish?topic=t", &gzip, b"x", 415, "encoding-unsupported"),
        ("POST", "/events", &[], b"topic=t", 400, "body-invalid"),
        ("GET", "/events", &[], b"", 400, "topic-invalid"),
    ] {
        assert_problem(&wire::request(hub.address, method, target, headers, body), status, code);
    }
}

#[test]
fn a_problem_points_to_its_words() {
    let hub = Hub::start();
    let problem = hub.get("/nowhere").json();
    let (path, anchor) = problem["type"].as_str().unwrap().split_once('#').unwrap();
    assert_eq!(anchor, "not-found");
    let page = hub.get(path);
    assert_eq!((page.status, page.headers.get("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("<h3 id=\"not-found\">"), "the anchor is there");
    assert_problem(&hub.get("/docs/NOWHERE.md"), 404, "not-found");
}

#[test]
fn a_method_that_a_path_does_not_take_is_405_with_allow() {
    let hub = Hub::start();
    for (method, path, allow) in [
        ("GET", "/publish", "POST, OPTIONS"),
        ("DELETE", "/events?topic=t", "GET, HEAD, POST, OPTIONS"),
        ("PUT", "/topics", "GET, HEAD, OPTIONS"),
        ("POST", "/topics/t", "GET, HEAD, PUT, DELETE, OPTIONS"),
        ("PATCH", "/topics/t", "GET, HEAD, PUT, DELETE, OPTIONS"),
        ("POST", "/metrics", "GET, HEAD, OPTIONS"),
        ("BREW", "/", "GET, HEAD, OPTIONS"),
    ] {
        let answer = hub.request(method, path, b"");
        assert_problem(&answer, 405, "method-not-allowed");
        assert_eq!(answer.headers.get("allow"), Some(allow), "{method} {path}");
    }
}

/// Which of the two it is depends on how its bytes arrive.
#[test]
fn a_target_that_is_far_too_long_is_a_bare_414_or_431() {
    let hub = Hub::start();
    let target = |length: usize| format!("/topics?_={}", "x".repeat(length));
    assert_eq!(hub.get(&target(60_000)).status, 200);
    for length in [65_600, 70_000] {
        let refused = hub.get(&target(length));
        assert!([414, 431].contains(&refused.status) && refused.body.is_empty(), "{}", refused.status);
    }
}

#[test]
fn head_answers_like_get_without_a_body() {
    let hub = Hub::start();
    hub.publish("t", "x");
    for (target, accept) in [
        ("/", "*/*"),
        ("/topics", "*/*"),
        ("/topics/t", "*/*"),
        ("/topics/none", "*/*"),
        ("/events?topic=t", "text/event-stream"),
        ("/events?topic=t", "application/json"),
        ("/events?topic=t&from=junk", "*/*"),
        ("/healthz", "*/*"),
        ("/readyz", "*/*"),
        ("/openapi.json", "*/*"),
        ("/admin/stats", "*/*"),
        ("/metrics", "*/*"),
    ] {
        let head = wire::request(hub.address, "HEAD", target, &[("accept", accept)], b"");
        let get = wire::open(hub.address, "GET", target, &[("accept", accept)], b"");
        assert_eq!(head.status, get.status, "{target}");
        assert!(head.body.is_empty());
        for name in ["content-type", "cache-control"] {
            assert_eq!(head.headers.get(name), get.headers.get(name), "{target} {name}");
        }
    }
    let after =
        wire::send(hub.address, b"HEAD /events?topic=t HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let bytes = String::from_utf8(wire::drained(&after)).unwrap();
    assert!(bytes.ends_with("\r\n\r\n") && bytes.matches("\r\n\r\n").count() == 1, "{bytes}");
}

#[test]
fn refusals_are_counted_by_code() {
    let hub = Hub::start();
    for _ in 0..3 {
        hub.get("/nowhere");
    }
    hub.post("/publish?topic=t", &[("content-type", "application/x-ndjson")], b"{\n{\n");
    let refused = &hub.stats()["refused_total"];
    assert_eq!((&refused["not-found"], &refused["body-invalid"]), (&3.into(), &2.into()), "{refused}");
}

#[test]
fn a_request_that_is_not_http_is_refused_and_the_hub_goes_on() {
    let hub = Hub::start();
    for junk in ["\0\0\0\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /x\x07 HTTP/1.1\r\n\r\n"] {
        let socket = wire::send(hub.address, junk.as_bytes());
        let answer = String::from_utf8(wire::drained(&socket)).unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{junk:?}: {answer}");
    }
    assert_eq!(hub.get("/healthz").status, 200);
}
