//! `/metrics` as Prometheus' own tool judges it.

use std::process::Command;

use crate::{child::tool, observed::Loaded, run::run, support::eventually};

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
