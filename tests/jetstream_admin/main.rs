//! `gapless jetstream` and `gapless check --engine jetstream`, with real servers: what they make, find and refuse.

#![expect(clippy::unwrap_used, reason = "tests")]

mod cases;
mod command;
#[allow(dead_code, reason = "shared with the unit tests, which use all of it")]
#[path = "../support/nats_cluster.rs"]
mod nats_cluster;
mod split;
