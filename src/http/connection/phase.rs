//! How long an HTTP/1.1 connection may take for what it says: a whole head within one bound, silence between two requests
//! within another, which is longer.
//!
//! hyper has one clock for both. A proxy keeps idle connections for a minute and more, and a request that it sends on one must
//! not meet a hub that is just closing it; a head that drips for as long is an attack.

use std::{
    cell::Cell,
    convert::Infallible,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::maybe_tls::MaybeTls;
use crate::http::{Body, Limits};

/// What a connection is waiting for, shared by those who see it change.
#[derive(Debug)]
pub(super) struct RequestPhase {
    state: Cell<State>,
    asked: Cell<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A head that has begun, or the first one.
    Head { since: Instant },
    /// The next request.
    Idle { since: Instant },
    /// Its answer, which has bounds of its own.
    Busy,
}

/// Why a connection is at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Late {
    /// Its head did not arrive.
    Head,
    /// No request came.
    Idle,
}

impl RequestPhase {
    /// That of a connection that has just begun.
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self { state: Cell::new(State::Head { since: Instant::now() }), asked: Cell::new(false) })
    }

    /// A whole head is there.
    pub(super) fn begins(&self) {
        self.asked.set(true);
        self.state.set(State::Busy);
    }

    /// Whether there was any request.
    pub(super) fn asked(&self) -> bool {
        self.asked.get()
    }

    fn heard(&self) {
        if matches!(self.state.get(), State::Idle { .. }) {
            self.state.set(State::Head { since: Instant::now() });
        }
    }

    fn answered(&self) {
        self.state.set(State::Idle { since: Instant::now() });
    }

    fn deadline(&self, limits: &Limits) -> Option<(Instant, Late)> {
        match self.state.get() {
            State::Head { since } => Some((since + limits.header_timeout, Late::Head)),
            State::Idle { since } => Some((since + limits.idle_timeout, Late::Idle)),
            State::Busy => None,
        }
    }
}

/// One timer for a connection. It is set anew only when it must ring earlier, or has rung too early: so requests that follow
/// each other do not touch it.
pub(super) struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    pub(super) fn new(limits: &Limits) -> Self {
        Self(Box::pin(sleep_until(Instant::now() + limits.header_timeout)))
    }

    /// Whether the connection has taken too long. To be asked after each step of it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, phase: &RequestPhase, limits: &Limits) -> Poll<Late> {
        loop {
            let Some((deadline, late)) = phase.deadline(limits) else { return Poll::Pending };
            if self.0.is_elapsed() || self.0.deadline() > deadline {
                if Instant::now() >= deadline {
                    return Poll::Ready(late);
                }
                self.0.as_mut().reset(deadline);
            }
            std::task::ready!(self.0.as_mut().poll(cx));
        }
    }
}

/// A connection's bytes, noting when the client speaks.
pub(super) struct ActivityTracked {
    pub(super) channel: MaybeTls,
    pub(super) phase: Rc<RequestPhase>,
}

impl AsyncRead for ActivityTracked {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.channel).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.phase.heard();
        }
        polled
    }
}

impl AsyncWrite for ActivityTracked {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.channel).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.channel).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.channel.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.channel).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.channel).poll_shutdown(cx)
    }
}

/// An answer's body, noting when all of it was taken. hyper drops it then.
pub(super) struct Attended {
    pub(super) body: Body,
    pub(super) phase: Rc<RequestPhase>,
}

impl Drop for Attended {
    fn drop(&mut self) {
        self.phase.answered();
    }
}

impl http_body::Body for Attended {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
