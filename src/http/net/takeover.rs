//! Takes the connection of a long response over from hyper.
//!
//! hyper reads the request and writes the response head. After that it would only cost: a task to wake, a body to
//! poll, a chunk to frame and 10 KiB of buffers for each connection. So hyper is given a body that yields the greeting
//! and then stays pending. The greeting goes with the head, in one write, because a client that received only the head
//! would reconnect without a cursor. When the connection flushes after hyper has polled that body for the first time,
//! both are on the wire and hyper's buffer is empty. What remains is a socket, on which the body's [`Continuation`]
//! sends the rest.

use std::cell::Cell;

use bytes::Bytes;

use super::{socket::Socket, state::Open};
use crate::lifecycle::Guard;

/// Sends the rest of a body on the bare socket. The guards are to be held until the connection ends.
pub type Continuation = Box<dyn FnOnce(Socket, (Open, Guard))>;

/// The state of a takeover, shared by a connection's service, its response body and its driver.
#[derive(Default)]
pub struct Takeover {
    continuation: Cell<Option<Continuation>>,
    greeting: Cell<Option<Bytes>>,
    stage: Cell<Stage>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// hyper owns the connection.
    #[default]
    Hyper,
    /// hyper has written the head into its buffer and has polled the body.
    BodyPolled,
    /// The head and the greeting are on the wire.
    Flushed,
}

impl Takeover {
    /// The takeover of a connection for a body with these first bytes.
    pub fn begin(&self, greeting: Bytes, continuation: Continuation) {
        self.greeting.set(Some(greeting));
        self.continuation.set(Some(continuation));
    }

    /// hyper polls the body: the greeting, once, then `None`.
    #[must_use]
    pub fn asked(&self) -> Option<Bytes> {
        if self.stage.get() == Stage::Hyper {
            self.stage.set(Stage::BodyPolled);
        }
        self.greeting.take()
    }

    /// hyper has flushed its buffer to the socket.
    pub fn flushed(&self) {
        if self.stage.get() == Stage::BodyPolled {
            self.stage.set(Stage::Flushed);
        }
    }

    /// Whether the connection can be taken over now.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.stage.get() == Stage::Flushed
    }

    /// What continues on the socket, once.
    #[must_use]
    pub fn take(&self) -> Option<Continuation> {
        self.continuation.take()
    }
}
