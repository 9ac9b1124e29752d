//! A stream on an HTTP/1.1 connection that was taken over from hyper: a socket, a cursor and a small task.
//!
//! At the ring's end the task sleeps and [`fan_out`](super::fan_out) sends for it. It wakes for everything else: to catch
//! up, to wait for a slow client, to say that it is there, and to end.

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
    socket::Socket,
    streams::{StreamHandle, WakeMode},
};
use crate::event::Seq;

/// Pieces sent, or reads done, in a row by one stream before others on its core have their turn.
const PIECES: usize = 8;

/// What the fan-out needs of a stream to send for it.
#[derive(Debug)]
pub struct DirectConnection {
    pub(super) socket: Socket,
    pub(super) encoding: Encoding,
    /// The last event sent, while the fan-out sends.
    pub(super) cursor: Seq,
    /// What the socket had no room for.
    pub(super) rest: Option<Box<Bytes>>,
    flow: Flow,
}

/// Whether the client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Open,
    /// Nothing could be sent since this tick.
    Stalled(u32),
    /// It has not read for too long.
    Cut,
}

/// The task of a stream. `T` is held until it ends.
pub struct DirectStream<T> {
    session: StreamSession,
    handle: StreamHandle,
    /// Bytes on their way.
    unsent: Bytes,
    over: bool,
    _held: T,
}

impl DirectConnection {
    pub(super) fn new(socket: Socket, encoding: Encoding) -> Self {
        Self { socket, encoding, cursor: Seq::ZERO, rest: None, flow: Flow::Open }
    }

    /// For how many ticks nothing could be sent.
    pub(super) fn stalled_since(&self, now: u32) -> Option<u32> {
        match self.flow {
            Flow::Stalled(since) => Some(now.wrapping_sub(since)),
            Flow::Open | Flow::Cut => None,
        }
    }

    /// Whether its client has closed its own direction. It is looked at every tick: what the client answers to what it was sent
    /// wakes nobody.
    pub(super) fn is_half_closed(&self) -> bool {
        self.socket.has_ended()
    }

    /// Ends it. Answers with whether that is new.
    pub(super) fn cut(&mut self) -> bool {
        std::mem::replace(&mut self.flow, Flow::Cut) != Flow::Cut
    }

    /// Sends all of `bytes`, and what the fan-out could not.
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
    /// Goes on with a stream whose head was sent on `socket`.
    #[must_use]
    pub fn new(session: StreamSession, socket: Socket, held: T) -> Self {
        let streams = Rc::clone(&session.shard().streams);
        let line = DirectConnection::new(socket, session.encoding);
        let handle = streams.enroll_line(session.subscription().feed(), session.expires(), line);
        Self { session, handle, unsent: Bytes::new(), over: false, _held: held }
    }

    fn poll_told(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { session, handle, unsent, over, .. } = self;
        let now = handle.now();
        let mut members = handle.group.members.borrow_mut();
        let member = &mut members[handle.key];
        let silent = member.polled(cx);
        member.wake_mode = WakeMode::Busy;
        let line = member.line.as_mut().expect("enrolled with one");
        if line.flow == Flow::Cut {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        // Who has closed its direction is written to at once: a client that has left answers with a reset.
        let mut silent = line.socket.hear(cx)? || silent;
        session.sent(line.cursor);
        if let Some(rest) = line.rest.take() {
            *unsent = *rest;
        }
        for _ in 0..PIECES {
            if !unsent.is_empty() || line.socket.is_behind() {
                ready!(line.poll_write(cx, unsent, now))?;
                // Noted here as well as by the fan-out: whoever speaks says when, or is nudged at every tick.
                (member.spoke, member.silent) = (now, false);
                silent = false;
            }
            if *over {
                line.socket.farewell();
                return Poll::Ready(Ok(()));
            }
            match session.poll(cx, silent) {
                Poll::Ready(Some(chunk)) => *unsent = chunk.framed(),
                Poll::Ready(None) => (*unsent, *over) = (chunk::LAST, true),
                Poll::Pending => {
                    member.wake_mode = match session.follows() {
                        Some(cursor) => {
                            line.cursor = cursor;
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
        self.poll_told(cx).map(drop)
    }
}
