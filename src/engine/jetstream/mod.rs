//! The engine over one NATS JetStream stream, which is the log.
//!
//! | module | idea |
//! |---|---|
//! | `nats` | everything that speaks NATS; knows neither topics nor events |
//! | `wire` | the messages of the stream as records, and back |

#![allow(dead_code, unused_imports, reason = "in work")]

mod nats;
mod wire;
