//! What the hub exports by OTLP: to a real OpenTelemetry collector, and to servers that are none.

#![expect(clippy::unwrap_used, reason = "tests")]

#[allow(dead_code, reason = "shared with the clients, which use all of it")]
#[path = "../clients/child.rs"]
mod child;
mod collector;
mod exported;
mod failing;
mod server;
#[allow(dead_code, reason = "shared with the promises, which use all of it")]
#[path = "../promises/support/mod.rs"]
mod support;
