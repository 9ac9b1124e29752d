//! `gapless jetstream` and `gapless check --engine jetstream`, with real servers: what they make, find and refuse.

#![expect(clippy::unwrap_used, reason = "tests")]

mod cases;
mod command;
#[path = "../support/nats_cluster.rs"]
mod nats_cluster;
mod split;
