//! The engine over one NATS JetStream stream, which is the log.
//!
//! | module | idea |
//! |---|---|
//! | `nats` | everything that speaks NATS; knows neither topics nor events |

mod nats;

#[cfg(test)]
#[path = "../../../tests/support/nats_cluster.rs"]
mod nats_cluster;
