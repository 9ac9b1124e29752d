//! Ephemeral events: those of a protocol that are about the present. A stream sends them between the events of the log, and
//! they are not kept.

use std::task::{Context, Poll};

use super::chunk::Chunk;
use crate::event::EventId;

/// The ephemeral events of one stream. Dropped when the stream ends, or its client leaves.
pub trait EphemeralEvents {
    /// The next bytes; pending while there are none, and then the waker is woken when there are. Everything of the log that
    /// the stream selects was sent up to `log`, and the bytes make an id of that position the client's cursor.
    fn poll_chunk(&mut self, cx: &mut Context<'_>, log: EventId) -> Poll<Chunk>;
}

/// Makes the ephemeral events of a stream. Called once, when nothing can refuse the stream any more.
pub type BeginEphemeral<'a> = &'a dyn Fn() -> Box<dyn EphemeralEvents>;
