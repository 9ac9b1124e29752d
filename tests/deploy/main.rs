//! What `deploy/` has for Kubernetes, Prometheus and Grafana, tried by the tools of these projects and with the real hub.

#![expect(clippy::unwrap_used, reason = "tests")]

mod alerts;
mod chart;
#[allow(dead_code, reason = "shared with the clients, which use all of it")]
#[path = "../clients/child.rs"]
mod child;
mod dashboard;
mod metrics;
mod observed;
mod pod;
mod prometheus;
mod run;
#[allow(dead_code, reason = "shared with the promises, which use all of it")]
#[path = "../promises/support/mod.rs"]
mod support;
