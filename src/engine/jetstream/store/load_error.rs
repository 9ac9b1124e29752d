//! Why the state of a stream cannot be loaded.

use super::super::{nats::NatsError, wire::WireError};
use crate::event::{Seq, TopicName};

/// Why the stream's state cannot be loaded.
#[derive(Debug, Clone, thiserror::Error)]
pub(in crate::engine::jetstream) enum StreamLoadError {
    /// NATS does not answer, or refuses.
    #[error(transparent)]
    Nats(#[from] NatsError),
    /// The stream has no epoch yet.
    #[error("the stream has no epoch; run `gapless jetstream init`")]
    NoEpoch,
    /// A message that must be understood is not.
    #[error("the message at {0}: {1}")]
    Record(Seq, WireError),
    /// The newest event of a topic does not tell the topic's state, so the event that does was not read.
    #[error(
        "topic {0}: the write of its event {1} was read in part; if this lasts, a message was deleted from the stream: restore a backup"
    )]
    Incomplete(TopicName, Seq),
    /// The engine was closed meanwhile.
    #[error("the engine is closed")]
    Ended,
}
