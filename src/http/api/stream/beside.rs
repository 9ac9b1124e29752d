//! What a stream sends beside the events of the log: events of a protocol that are about the present, and are not kept.

use std::task::{Context, Poll};

use super::chunk::Chunk;
use crate::event::EventId;

/// Events beside the log. It is dropped when the stream ends, or its client leaves.
pub trait BesideLog {
    /// The next bytes; pending while there are none, and then the waker is woken when there are. Everything of the log that
    /// the stream selects was sent up to `log`, and the bytes make an id of that position the client's cursor.
    fn poll_chunk(&mut self, cx: &mut Context<'_>, log: EventId) -> Poll<Chunk>;
}

/// Begins to send events beside the log. It is called once, when nothing can refuse the stream any more.
pub type BeginBeside<'a> = &'a dyn Fn() -> Box<dyn BesideLog>;
