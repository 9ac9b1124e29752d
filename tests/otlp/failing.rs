//! Collectors that are gone, silent or unwilling: the hub serves on, tells it once, and counts it.

use std::net::TcpListener;

use crate::{
    server::Server,
    support::{eventually, hub::Hub},
};

const TAKEN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const BUSY: &str = "HTTP/1.1 503 Later\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const REFUSED: &str = "HTTP/1.1 401 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

const TOLD: &str = "the OTLP collector does not take what is exported";

fn publish(hub: &Hub, count: usize) {
    let lines = "{\"topic\":\"t\",\"data\":\"x\"}\n".repeat(count);
    for line in lines.lines() {
        assert_eq!(hub.post("/publish", &[("content-type", "application/json")], line.as_bytes()).status, 200);
    }
}

fn metric(hub: &Hub, name: &str) -> u64 {
    let text = hub.get("/metrics").text();
    let value = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")).map(str::to_owned));
    value.unwrap_or_else(|| panic!("{name}: {text}")).parse().unwrap()
}

/// How often the log has this.
fn told(hub: &Hub, what: &str) -> usize {
    hub.log().matches(what).count()
}

#[test]
fn a_collector_that_is_gone_stops_nothing_and_is_told_once_a_signal() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{address}");
    let mut hub = Hub::start_with(&["--otlp-endpoint", &url, "--otlp-interval", "1s"]);
    // More than the queue holds.
    publish(&hub, 3000);
    let failed = |signal: &str| metric(&hub, &format!("gapless_otlp_failed_exports_total{{signal=\"{signal}\"}}"));
    eventually("attempts have failed", || failed("traces") >= 2 && failed("metrics") >= 2);
    assert!(metric(&hub, "gapless_otlp_dropped_spans_total") > 0, "the queue has a bound");
    assert_eq!(metric(&hub, "gapless_otlp_exported_spans_total"), 0);
    assert_eq!(told(&hub, TOLD), 2, "{}", hub.log());
    publish(&hub, 1);
    hub.end();
}

#[test]
fn a_collector_that_never_answers_delays_neither_a_publish_nor_the_end() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let mut hub = Hub::start_with(&["--otlp-endpoint", &url, "--otlp-interval", "1s", "--otlp-timeout", "100ms"]);
    publish(&hub, 100);
    eventually("it is told", || told(&hub, TOLD) > 0);
    publish(&hub, 100);
    hub.end();
}

#[test]
fn spans_wait_for_a_collector_that_is_busy_and_its_return_is_told() {
    let server = Server::answering(&[BUSY, BUSY, TAKEN]);
    let mut hub = Hub::start_with(&["--otlp-endpoint", &server.url(), "--otlp-metrics=false"]);
    publish(&hub, 3);
    eventually("they are exported", || metric(&hub, "gapless_otlp_exported_spans_total") == 3);
    let attempts = server.requests("/v1/traces");
    assert_eq!(attempts.len(), 3);
    assert!(attempts.iter().all(|attempt| attempt.body == attempts[0].body), "the same spans each time");
    assert_eq!((told(&hub, TOLD), told(&hub, "takes what is exported again")), (1, 1), "{}", hub.log());
    assert_eq!(metric(&hub, "gapless_otlp_dropped_spans_total"), 0);
    hub.end();
}

#[test]
fn a_collector_that_refuses_is_not_asked_again_for_the_same_spans() {
    let server = Server::answering(&[REFUSED]);
    let hub = Hub::start_with(&["--otlp-endpoint", &server.url(), "--otlp-metrics=false"]);
    publish(&hub, 3);
    eventually("they are dropped", || metric(&hub, "gapless_otlp_dropped_spans_total") == 3);
    assert!(hub.log().contains("401"), "{}", hub.log());
    publish(&hub, 2);
    eventually("the next ones are tried", || metric(&hub, "gapless_otlp_dropped_spans_total") == 5);
    assert_eq!(server.requests("/v1/traces").len(), 2);
}

#[test]
fn the_path_of_the_endpoint_and_the_headers_of_the_file_are_sent() {
    let server = Server::answering(&[TAKEN]);
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("headers");
    std::fs::write(&path, "# for the collector\nAuthorization: Bearer hidden-token\n\nX-Scope: a b\n").unwrap();
    let url = format!("{}/otlp/", server.url());
    let hub = Hub::start_with(&[
        "--otlp-endpoint",
        &url,
        "--otlp-interval",
        "1s",
        "--otlp-headers-file",
        &path.display().to_string(),
    ]);
    publish(&hub, 1);
    for path in ["/otlp/v1/traces", "/otlp/v1/metrics"] {
        eventually(path, || !server.requests(path).is_empty());
        let head = server.requests(path).remove(0).head;
        for line in ["authorization: bearer hidden-token", "x-scope: a b", "content-type: application/x-protobuf"] {
            assert!(head.lines().any(|found| found == line), "{line}: {head}");
        }
    }
    assert!(!hub.log().contains("hidden-token"), "{}", hub.log());
}

#[test]
fn a_file_of_headers_that_cannot_be_used_is_told_before_the_start_and_shows_no_value() {
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("headers");
    std::fs::write(&path, "Authorization: ok\nhidden-token\n").unwrap();
    let path = path.display().to_string();
    let refused = Hub::refused(&["--otlp-endpoint", "http://127.0.0.1:4318", "--otlp-headers-file", &path]);
    assert_eq!(refused.0, Some(78), "{}", refused.1);
    assert!(refused.1.contains("otlp.headers_file") && refused.1.contains("line 2"), "{}", refused.1);
    assert!(!refused.1.contains("hidden-token"), "{}", refused.1);
}
