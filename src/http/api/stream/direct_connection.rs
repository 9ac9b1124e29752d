//! The connection of a stream that was taken over from hyper, and whether its client keeps reading.

use std::{
    io,
    task::{Context, Poll},
};

use bytes::Bytes;

use super::{encoding::Encoding, record::SentCounts};
use crate::{http::net::socket::Socket, hub::epoch::HubCursor};

/// The connection of a stream: what the fan-out needs to send for it.
#[derive(Debug)]
pub struct DirectConnection {
    pub(super) socket: Socket,
    pub(super) encoding: Encoding,
    /// The last event sent, while the fan-out sends.
    pub(super) cursor: HubCursor,
    /// What the task still has to send: its own last chunk, or the rest of a batch for which the fan-out found no room in
    /// the socket.
    pub(super) unsent: Option<Box<Bytes>>,
    /// Whether nothing follows `unsent`.
    pub(super) over: bool,
    /// What the fan-out has sent since the task was polled.
    pub(super) sent: SentCounts,
    flow: Flow,
}

/// Whether the client keeps reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Open,
    /// Nothing could be sent since this tick.
    Stalled(u32),
    /// Stalled for longer than the write timeout.
    Closed,
}

impl DirectConnection {
    pub(super) fn new(socket: Socket, encoding: Encoding) -> Self {
        let (cursor, sent) = (HubCursor::default(), SentCounts::default());
        Self { socket, encoding, cursor, unsent: None, over: false, sent, flow: Flow::Open }
    }

    /// For how many ticks nothing could be sent; `None` while the socket takes bytes.
    pub(super) fn stalled_since(&self, now: u32) -> Option<u32> {
        match self.flow {
            Flow::Stalled(since) => Some(now.wrapping_sub(since)),
            Flow::Open | Flow::Closed => None,
        }
    }

    /// Whether the client has closed its direction. Such a stream is woken at every tick, because the reset with which
    /// a departed client answers wakes no task.
    pub(super) fn is_half_closed(&self) -> bool {
        self.socket.is_half_closed()
    }

    /// Marks a stalled connection to be closed by its task. Returns whether it was not marked before.
    pub(super) fn close_stalled(&mut self) -> bool {
        std::mem::replace(&mut self.flow, Flow::Closed) != Flow::Closed
    }

    /// Whether its task must close it.
    pub(super) fn is_closed(&self) -> bool {
        self.flow == Flow::Closed
    }

    /// Whether there is something for [`DirectConnection::poll_write`] to send.
    pub(super) fn has_unsent(&self) -> bool {
        self.unsent.is_some() || self.socket.is_behind()
    }

    /// Sends what is unsent, and the records that TLS holds. A socket that takes nothing is stalled since `now`.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, now: u32) -> Poll<io::Result<()>> {
        let Self { socket, flow, unsent, .. } = self;
        let polled = socket.poll_send(cx, unsent.as_deref_mut().unwrap_or(&mut Bytes::new()), || *flow = Flow::Open);
        match polled {
            Poll::Pending if *flow == Flow::Open => *flow = Flow::Stalled(now),
            Poll::Pending => {}
            Poll::Ready(_) => *unsent = None,
        }
        polled
    }
}
