//! Why an append or a read failed.

use std::{sync::Arc, time::Duration};

use crate::event::{EventId, Metadata, TopicName};

/// Why nothing was appended or changed. `Display` is for logs; what a client is told is the protocol's to word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// [`ExpectedLast`](super::ExpectedLast) does not hold.
    #[error("the topic's last id is not the expected one")]
    Precondition {
        /// The topic's last id, `None` when it has none.
        last: Option<EventId>,
    },
    /// The topic's metadata is not what a [`MetadataChange`](super::MetadataChange) changes.
    #[error("the topic's metadata is not the expected one")]
    MetadataChanged {
        /// The topic's metadata, `None` when it has none.
        present: Option<Metadata>,
    },
    /// The topic accepts no more events.
    #[error("topic {topic} is closed")]
    Closed {
        /// The closed topic.
        topic: TopicName,
    },
    /// An [`IdempotencyKey`](super::IdempotencyKey) was used within the window with another fingerprint.
    #[error("the idempotency key was used with another fingerprint")]
    KeyReused,
    /// The memory for keys is full, for this owner or for all. Transient.
    #[error("the memory for idempotency keys is full; the oldest expires in {} s", wait.as_millis().div_ceil(1000))]
    KeysFull {
        /// The owner's share is used up, not the whole.
        own: bool,
        /// Time until the oldest key expires.
        wait: Duration,
    },
    /// The receipts of this append exceed what one key may ever use of the memory for keys.
    #[error("the receipts exceed the memory that one idempotency key may use")]
    KeyTooLarge,
    /// More events than [`Capabilities::max_batch`](super::Capabilities::max_batch).
    #[error("more than {max} events in one append")]
    TooMany {
        /// The largest number.
        max: usize,
    },
    /// More bytes than the engine writes, or passes on, in one piece.
    #[error("the append takes {bytes} bytes; at most {max} are possible")]
    TooLarge {
        /// What it takes.
        bytes: usize,
        /// The largest number.
        max: usize,
    },
    /// A limit that is not among [`Capabilities::retention`](super::Capabilities::retention).
    #[error("the engine does not support the limit {limit}")]
    LimitUnsupported {
        /// The field of [`Retention`](crate::event::Retention).
        limit: &'static str,
    },
    /// The writer's queue is full. Transient.
    #[error("the write queue is full")]
    Busy,
    /// The disk's free space is below the reserve. Passes when space is freed.
    #[error("the store is full")]
    Full,
    /// The store cannot be written now, and nothing was written: its directory is missing, or the disk does not
    /// respond. Transient; needs no restart.
    #[error("the store cannot be used now: {reason}")]
    NotNow {
        /// What is unavailable.
        reason: Arc<str>,
    },
    /// It is not known whether this was written: a flush failed, the engine is closed, or a hub that leads several has
    /// not answered. A store on this machine accepts no writes until a restart has checked the disk.
    #[error("it is not known whether this was written: {reason}")]
    Unavailable {
        /// What failed.
        reason: Arc<str>,
    },
}

/// The log cannot be read at the requested position, permanently or for now. A read never returns an empty page
/// instead.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the store cannot be read: {reason}")]
pub struct ReadError {
    /// What the store said.
    pub reason: Arc<str>,
}
