//! `/metrics` as Prometheus' own tool judges it.

use std::process::Command;

use crate::{
    child::tool,
    observed::Loaded,
    prometheus::Prometheus,
    run::run,
    support::{eventually, wire},
};

#[test]
fn promtool_has_nothing_to_say_about_the_metrics_of_a_busy_hub() {
    let loaded = Loaded::start();
    loaded.disturb();
    eventually("events are delivered", || loaded.hub.stats()["events"]["out_total"].as_u64().unwrap() > 100);
    let text = loaded.hub.get("/metrics").text();
    for with_labels in ["gapless_refused_requests_total{", "gapless_relay_upstream_errors_total{"] {
        assert!(text.contains(with_labels), "{text}");
    }
    let said = run(Command::new(tool("promtool")).args(["check", "metrics"]), &text);
    assert_eq!((said.code, &*said.stdout, &*said.stderr), (Some(0), "", ""));
}

#[test]
fn prometheus_adds_the_native_histograms_of_two_hubs() {
    let hubs = [Loaded::start(), Loaded::start()];
    let prometheus = Prometheus::with_native_histograms(&hubs.each_ref().map(|loaded| loaded.hub.address));
    let number = |expression: &str| {
        let samples = prometheus.query(expression);
        samples.first().and_then(|sample| sample["value"][1].as_str()?.parse::<f64>().ok()).filter(|n| n.is_finite())
    };
    for metric in ["gapless_commit_seconds", "gapless_publish_seconds"] {
        eventually("both hubs have some", || {
            hubs.iter().for_each(Loaded::disturb);
            let each = format!("count(histogram_count({metric}) > 0)");
            let quantile = format!("histogram_quantile(0.99, sum(rate({metric}[10s])))");
            number(&each) == Some(2.0) && number(&quantile).is_some_and(|seconds| seconds > 0.0 && seconds < 60.0)
        });
        assert!(prometheus.query(&format!("{metric}_bucket")).is_empty(), "only native ones are asked for");
        let median = number(&format!("histogram_quantile(0.5, sum(rate({metric}[10s])))")).unwrap();
        let own: Vec<_> =
            hubs.iter().map(|loaded| loaded.hub.stats()["store"]["commit_ms"]["p50"].as_f64().unwrap()).collect();
        assert!(median > 0.0, "{metric}: {median} {own:?}");
    }
    // What does not come as a histogram is the same in protobuf.
    eventually("a counter and a gauge with labels", || {
        number("sum(gapless_published_events_total)").is_some_and(|events| events > 0.0)
            && number("sum(gapless_streams{state=\"live\"})").is_some_and(|streams| streams >= 40.0)
    });
}

#[test]
fn a_scraper_gets_the_format_that_it_prefers() {
    let hub = crate::support::hub::Hub::start_with(&["--engine", "memory"]);
    let get = |accept: &str| wire::request(hub.address, "GET", "/metrics", &[("accept", accept)], b"");
    let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    for (accept, wanted) in [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        (&*format!("{protobuf};q=0.1,text/plain;q=0.2"), "text/plain; version=0.0.4; charset=utf-8"),
        (
            &*format!(
                "{protobuf};q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
            ),
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
        ),
    ] {
        let answer = get(accept);
        assert_eq!(answer.headers.get("content-type"), Some(wanted), "{accept}");
        assert_eq!(answer.headers.get("vary"), Some("accept"));
    }
}
