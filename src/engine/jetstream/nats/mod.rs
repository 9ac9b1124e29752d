//! Everything that speaks NATS, and the only module that names `async_nats`. It knows neither topics nor events.
//!
//! Written for nats-server 2.15 or newer. async-nats has neither atomic batches nor batched direct gets; both are spoken
//! here, as ADR-50 and ADR-31 of nats-architecture-and-design describe them.
//!
//! **Every wait is bounded.** A message that was handed to the client while it had no connection is sent after the next
//! reconnect, also when the wait for its answer has ended: only [`WriteError::Unknown`] tells so, and the expected
//! position makes it harmless.
//!
//! | module | idea |
//! |---|---|
//! | `config` | servers and credentials |
//! | `error` | what a server's error means for a write and for a read |
//! | `message` | messages as they are sent and stored |
//! | `client` | the connection: login, reconnects, its state |
//! | `picker` | the choice of a server |
//! | `plain` | publish, request and subscribe without JetStream |
//! | `api` | one request to `$JS.API`, and its answer |
//! | `write` | one message or one atomic batch, fenced by the expected last position |
//! | `read` | direct gets, one by one and by pages; gets of the stream's leader |
//! | `load` | the newest message of every subject |
//! | `live` | stored messages as they are republished |
//! | `stream` | the stream's state, purges, deletions |
//! | `stream_config`, `setup` | what is configured of a stream; creating and changing it |

mod api;
mod client;
mod config;

mod error;
mod live;
mod load;
mod message;
mod picker;
mod plain;
mod read;
mod setup;
mod stream;
mod stream_config;
#[cfg(test)]
mod tests;
mod write;

pub(super) use client::Nats;
pub use config::{NatsConfig, NatsCredentials};
pub(super) use error::{NatsError, WriteError};
pub(super) use live::{Live, LiveItem};
#[cfg(test)]
use message::BatchMark;
pub(super) use message::{Headers, Outgoing, Stored};
pub(super) use plain::{CoreMessage, CoreSubscription};
pub(super) use read::Range;

pub(super) use stream::StreamState;
pub(super) use stream_config::{StreamConfig, StreamSettings};
