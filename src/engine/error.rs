//! Why an append or a read failed.

use std::{sync::Arc, time::Duration};

use crate::event::{EventId, TopicName};

/// Why nothing was appended. `Display` tells the client what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// [`ExpectedLast`](super::ExpectedLast) does not hold.
    #[error("the topic's last id does not match If-Match; read the events after yours and try again")]
    Precondition {
        /// The topic's last id, `None` when it has none.
        last: Option<EventId>,
    },
    /// The topic accepts no more events.
    #[error("topic {topic} is closed; reopen it with PUT {{\"closed\":false}} or use another")]
    Closed {
        /// The closed topic.
        topic: TopicName,
    },
    /// An [`IdempotencyKey`](super::IdempotencyKey) was used within the window with another fingerprint.
    #[error("this Idempotency-Key was used for another request; use a fresh key")]
    KeyReused,
    /// The memory for keys is full, for this owner or for all. Transient.
    #[error("{}", keys_full(*own, *wait))]
    KeysFull {
        /// The owner's share is used up, not the whole.
        own: bool,
        /// Time until the oldest key expires.
        wait: Duration,
    },
    /// The receipts of this append exceed what one key may ever use of the memory for keys.
    #[error(
        "this batch names too many topics for its receipts to be remembered under one Idempotency-Key; split it, and \
         give each part its own key"
    )]
    KeyTooLarge,
    /// The writer's queue is full. Transient.
    #[error("the write queue is full; try again in a moment")]
    Busy,
    /// The disk's free space is below the reserve. Passes when space is freed.
    #[error("the disk is nearly full, so nothing is accepted until space is freed; what was accepted before is safe")]
    Full,
    /// The store cannot be written now, and nothing was written: its directory is missing, or the disk does not
    /// respond. Transient; needs no restart.
    #[error("the store cannot be used now: {reason}; nothing was written, try again")]
    NotNow {
        /// What is unavailable.
        reason: Arc<str>,
    },
    /// A flush failed, or the engine is closed; needs a restart.
    #[error("the store accepts no writes until the hub is restarted and has checked the disk: {reason}")]
    Unavailable {
        /// What failed.
        reason: Arc<str>,
    },
}

fn keys_full(own: bool, wait: Duration) -> String {
    let whose = if own { "this client has used" } else { "all clients together have used" };
    format!(
        "{whose} as many Idempotency-Keys as the hub remembers at a time; the oldest expires in {} s: try again then, \
         or publish more events under one key",
        wait.as_millis().div_ceil(1000)
    )
}

/// The log cannot be read at the requested position, permanently or for now. A read never returns an empty page
/// instead.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the store cannot be read: {reason}")]
pub struct ReadError {
    /// What the store said.
    pub reason: Arc<str>,
}
