//! The engine over one NATS JetStream stream, which is the log.
//!
//! | module | idea |
//! |---|---|
//! | `nats` | everything that speaks NATS; knows neither topics nor events |
//! | `wire` | the messages of the stream as records, and back |
//! | `store` | the stream as a store of the log engine |

#![allow(dead_code, unused_imports, reason = "in work")]

mod nats;
mod store;
mod wire;

#[cfg(test)]
#[path = "../../../tests/support/nats_cluster.rs"]
mod nats_cluster;
