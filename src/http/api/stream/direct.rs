//! A stream on an HTTP/1.1 connection that was taken over from hyper: a socket, a cursor and a small task.
//!
//! At the ring's end the task sleeps and [`fan_out`](super::fan_out) sends for it. It wakes for everything else: to
//! read the log, to wait for a slow client, to send a keepalive, and to end.

use std::{
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;

use super::{
    chunk,
    encoding::Encoding,
    session::StreamSession,
    streams::{StreamHandle, WakeMode},
};
use crate::{event::Seq, http::net::socket::Socket};

/// Chunks that one stream sends in a row before it yields to other tasks of its shard.
const CHUNKS_PER_POLL: usize = 8;

/// The connection of a stream: what the fan-out needs to send for it.
#[derive(Debug)]
pub struct DirectConnection {
    pub(super) socket: Socket,
    pub(super) encoding: Encoding,
    /// The last event sent, while the fan-out sends.
    pub(super) cursor: Seq,
    /// The rest of a batch that the fan-out could not send, because the socket was full.
    pub(super) unsent: Option<Box<Bytes>>,
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

/// The task of a stream. `T` is held until the task ends. Dropping it ends the subscription and closes the socket.
pub struct DirectStream<T> {
    session: StreamSession,
    handle: StreamHandle,
    /// Bytes that the task still has to send.
    unsent: Bytes,
    over: bool,
    _held: T,
}

impl DirectConnection {
    pub(super) fn new(socket: Socket, encoding: Encoding) -> Self {
        Self { socket, encoding, cursor: Seq::ZERO, unsent: None, flow: Flow::Open }
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

    /// Sends all of `bytes`, and the records that TLS holds. A socket that takes nothing is stalled since `now`.
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &mut Bytes, now: u32) -> Poll<io::Result<()>> {
        let Self { socket, flow, .. } = self;
        let polled = socket.poll_send(cx, bytes, || *flow = Flow::Open);
        if polled.is_pending() && *flow == Flow::Open {
            *flow = Flow::Stalled(now);
        }
        polled
    }
}

impl<T> DirectStream<T> {
    /// Continues a stream whose response head was sent on `socket`.
    #[must_use]
    pub fn new(session: StreamSession, socket: Socket, held: T) -> Self {
        let streams = Rc::clone(&session.shard().streams);
        let connection = DirectConnection::new(socket, session.encoding);
        let handle = streams.register_direct(session.subscription().feed(), session.expires(), connection);
        Self { session, handle, unsent: Bytes::new(), over: false, _held: held }
    }

    fn poll_stream(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { session, handle, unsent, over, .. } = self;
        let now = handle.now();
        let mut members = handle.group.members.borrow_mut();
        let member = &mut members[handle.key];
        let keepalive_due = member.register_waker(cx);
        member.wake_mode = WakeMode::Busy;
        let connection = member.connection.as_mut().expect("registered with one");
        if connection.flow == Flow::Closed {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        // A client that has closed its direction is sent a keepalive at once: if it has left, it answers with a reset.
        let mut keepalive_due = connection.socket.discard_input(cx)? || keepalive_due;
        session.sent(connection.cursor);
        if let Some(rest) = connection.unsent.take() {
            *unsent = *rest;
        }
        for _ in 0..CHUNKS_PER_POLL {
            if !unsent.is_empty() || connection.socket.is_behind() {
                ready!(connection.poll_write(cx, unsent, now))?;
                // The fan-out records its sends itself. Without this the tick would wake the stream every second.
                (member.last_sent, member.keepalive_due) = (now, false);
                keepalive_due = false;
            }
            if *over {
                connection.socket.send_close_notify();
                return Poll::Ready(Ok(()));
            }
            match session.poll(cx, keepalive_due) {
                Poll::Ready(Some(chunk)) => *unsent = chunk.framed(),
                Poll::Ready(None) => (*unsent, *over) = (chunk::LAST, true),
                Poll::Pending => {
                    member.wake_mode = match session.follows() {
                        Some(cursor) => {
                            connection.cursor = cursor;
                            WakeMode::Send
                        }
                        None => WakeMode::Wake,
                    };
                    return Poll::Pending;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T: Unpin> Future for DirectStream<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_stream(cx).map(drop)
    }
}
