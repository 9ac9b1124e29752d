//! Durable Streams, with the real binary: the public suite, what the suite does not look at, and the protocol's own clients.

#![expect(clippy::unwrap_used, reason = "tests")]

mod both_protocols;
#[allow(dead_code, reason = "shared with the third-party clients, which use all of it")]
#[path = "../clients/child.rs"]
mod child;
mod clients;
mod closing;
mod draining;
mod eventsource;
mod gaps;
mod limits;
mod producers;
mod rights;
mod stream;
mod suite;
#[allow(dead_code, reason = "shared with the promises, which use all of it")]
#[path = "../promises/support/mod.rs"]
mod support;
mod survives;
mod text;
