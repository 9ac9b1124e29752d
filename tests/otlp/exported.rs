//! What a real collector gets.

use crate::{
    collector::{Collector, field},
    support::{eventually, hub::Hub},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn hub(collector: &Collector, more: &[&str]) -> Hub {
    let all = [&["--otlp-endpoint", &*collector.url, "--otlp-interval", "1s"], more].concat();
    Hub::start_with(&all)
}

fn traceparent(trace: &str, flags: &str) -> String {
    format!("00-{trace}-{PARENT}-{flags}")
}

/// The span of this trace, once it is there.
fn span(collector: &Collector, trace: &str) -> String {
    let mut found = None;
    eventually("the span comes", || {
        let spans = collector.parts("Span #");
        found = spans.into_iter().find(|span| field(span, "Trace ID") == Some(trace));
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn a_publish_is_a_span_of_its_callers_trace() {
    let collector = Collector::start();
    let mut hub = hub(&collector, &["--otlp-service-name", "my-hub"]);
    let parent = traceparent(TRACE, "01");
    let headers = [("traceparent", &*parent), ("content-type", "text/plain")];
    assert_eq!(hub.post("/publish?topic=t", &headers, b"x").status, 200);
    let refused = traceparent(&"a".repeat(32), "01");
    let refused = [("traceparent", &*refused), ("content-type", "text/plain")];
    assert_eq!(hub.post("/publish?topic=t*&access_token=secret", &refused, b"payload").status, 400);
    // The end exports what waits for a batch.
    hub.end();

    let published = span(&collector, TRACE);
    for (name, want) in [
        ("Parent ID", PARENT),
        ("Name", "POST /publish"),
        ("Kind", "Server"),
        ("Status code", "Unset"),
        ("http.request.method", "POST"),
        ("http.route", "/publish"),
        ("http.response.status_code", "Int(200)"),
        ("messaging.destination.name", "t"),
        ("client.address", "127.0.0.1"),
    ] {
        assert_eq!(field(&published, name), Some(want), "{name}: {published}");
    }
    let refused = span(&collector, &"a".repeat(32));
    assert_eq!(field(&refused, "error.type"), Some("topic-invalid"), "{refused}");
    assert_eq!(field(&refused, "http.response.status_code"), Some("Int(400)"), "{refused}");
    let resource = collector.parts("ResourceSpans #").remove(0);
    assert_eq!(field(&resource, "service.name"), Some("my-hub"), "{resource}");
    assert_eq!(field(&resource, "service.version"), Some(env!("CARGO_PKG_VERSION")));
    let all = collector.text();
    assert!(!all.contains("secret") && !all.contains("payload"), "{all}");
}

#[test]
fn the_caller_decides_whether_there_is_a_span_and_else_the_configured_share() {
    let collector = Collector::start();
    let mut hub = hub(&collector, &["--otlp-sample", "0"]);
    let publish = |trace: Option<(&str, &str)>| {
        let parent = trace.map(|(digit, flags)| traceparent(&digit.repeat(32), flags));
        let mut headers = vec![("content-type", "text/plain")];
        headers.extend(parent.as_deref().map(|parent| ("traceparent", parent)));
        assert_eq!(hub.post("/publish?topic=t", &headers, b"x").status, 200);
    };
    publish(Some(("1", "00")));
    publish(None);
    publish(Some(("2", "01")));
    hub.end();
    span(&collector, &"2".repeat(32));
    assert_eq!(collector.parts("Span #").len(), 1, "{}", collector.text());
}

#[test]
fn the_metrics_are_those_of_the_metrics_page() {
    let collector = Collector::start();
    let hub = hub(&collector, &[]);
    for n in 0..7 {
        hub.publish("t", &n.to_string());
    }
    let metric =
        |name: &str| collector.parts("Metric #").into_iter().rev().find(|part| field(part, "Name") == Some(name));
    eventually("they are counted", || {
        metric("gapless_published_events_total").is_some_and(|part| field(&part, "Value") == Some("7.000000"))
    });
    let published = metric("gapless_published_events_total").unwrap();
    assert_eq!((field(&published, "DataType"), field(&published, "IsMonotonic")), (Some("Sum"), Some("true")));
    assert_eq!(field(&published, "AggregationTemporality"), Some("Cumulative"));
    let bytes = metric("gapless_published_bytes_total").unwrap();
    assert_eq!(field(&bytes, "Unit"), Some("By"));
    let commits = metric("gapless_commit_seconds").unwrap();
    assert_eq!((field(&commits, "DataType"), field(&commits, "Unit")), (Some("ExponentialHistogram"), Some("s")));
    assert_eq!(field(&commits, "Count"), Some("7"), "{commits}");

    let page = hub.get("/metrics").text();
    let names = |what: &str| page.lines().filter(|line| line.starts_with(what)).count();
    let all = names("# TYPE ");
    assert!(all > 40, "{page}");
    let exported: std::collections::BTreeSet<String> =
        collector.parts("Metric #").iter().filter_map(|part| field(part, "Name").map(str::to_owned)).collect();
    for name in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        assert!(exported.contains(name), "{name} is not exported: {exported:?}");
    }
}
