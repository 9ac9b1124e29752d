//! HTTP/1.1 timeouts: one for a complete request head, and a longer one for an idle connection between two requests.
//!
//! hyper has one timer for both. A proxy keeps idle connections for a minute and more, and a request that it sends on
//! one must not meet a hub that is closing it; a head that takes as long is an attack (Slowloris).

use std::{
    cell::Cell,
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
use crate::http::net::{
    client_watch::ClientWatch,
    response::{Aborted, Body},
    state::NetLimits,
};

/// What a connection is waiting for, shared by its reader, its service and its response body.
#[derive(Debug)]
pub(super) struct RequestPhase {
    state: Cell<State>,
    had_request: Cell<bool>,
    client: ClientWatch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A head that has begun, or the first one of the connection.
    Head { since: Instant },
    /// The next request.
    Idle { since: Instant },
    /// The response, which has timeouts of its own.
    Busy,
}

/// The timeout that has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expired {
    /// The head was not complete in time.
    Head,
    /// No request came in time.
    Idle,
}

impl RequestPhase {
    /// The phase of a new connection.
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            state: Cell::new(State::Head { since: Instant::now() }),
            had_request: Cell::new(false),
            client: ClientWatch::default(),
        })
    }

    /// The head is complete.
    pub(super) fn request_started(&self) {
        self.had_request.set(true);
        self.state.set(State::Busy);
    }

    /// The watch for the client of the present request.
    pub(super) fn client_watch(&self) -> ClientWatch {
        self.client.clone()
    }

    /// Whether there has been a request.
    pub(super) fn had_request(&self) -> bool {
        self.had_request.get()
    }

    fn bytes_received(&self) {
        if matches!(self.state.get(), State::Idle { .. }) {
            self.state.set(State::Head { since: Instant::now() });
        }
    }

    fn response_done(&self) {
        self.client.end();
        self.state.set(State::Idle { since: Instant::now() });
    }

    fn deadline(&self, limits: &NetLimits) -> Option<(Instant, Expired)> {
        match self.state.get() {
            State::Head { since } => Some((since + limits.header_timeout, Expired::Head)),
            State::Idle { since } => Some((since + limits.idle_timeout, Expired::Idle)),
            State::Busy => None,
        }
    }
}

/// One timer for a connection. It is reset only when the deadline is earlier than the timer's, or when it fires before the
/// deadline: so consecutive requests do not touch it.
pub(super) struct PhaseTimer(Pin<Box<Sleep>>);

impl PhaseTimer {
    pub(super) fn new(limits: &NetLimits) -> Self {
        Self(Box::pin(sleep_until(Instant::now() + limits.header_timeout)))
    }

    /// Ready when a timeout has expired. To be polled after each poll of the connection.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, phase: &RequestPhase, limits: &NetLimits) -> Poll<Expired> {
        loop {
            let Some((deadline, expired)) = phase.deadline(limits) else { return Poll::Pending };
            if self.0.is_elapsed() || self.0.deadline() > deadline {
                if Instant::now() >= deadline {
                    return Poll::Ready(expired);
                }
                self.0.as_mut().reset(deadline);
            }
            std::task::ready!(self.0.as_mut().poll(cx));
        }
    }
}

/// Bytes that a client may send ahead while it is watched. Beyond that it is not read, and a close is not seen.
const MAX_AHEAD: usize = 8 << 10;

/// The byte stream of a connection; reports received bytes to the phase, and ends when a watched client leaves.
pub(super) struct ActivityTracked {
    pub(super) io: MaybeTls,
    pub(super) phase: Rc<RequestPhase>,
    /// What was read to see whether the client leaves. The next reads return it.
    ahead: Vec<u8>,
}

impl ActivityTracked {
    pub(super) fn new(io: MaybeTls, phase: Rc<RequestPhase>) -> Self {
        Self { io, phase, ahead: Vec::new() }
    }

    /// Whether the client has closed its direction. hyper reads nothing while it writes a response.
    fn client_left(&mut self, cx: &mut Context<'_>) -> bool {
        let mut piece = [0; 512];
        while self.ahead.len() < MAX_AHEAD {
            let mut read = ReadBuf::new(&mut piece);
            match Pin::new(&mut self.io).poll_read(cx, &mut read) {
                Poll::Pending => return false,
                Poll::Ready(Ok(())) if !read.filled().is_empty() => self.ahead.extend_from_slice(read.filled()),
                Poll::Ready(_) => return true,
            }
        }
        false
    }
}

impl AsyncRead for ActivityTracked {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = if self.ahead.is_empty() {
            Pin::new(&mut self.io).poll_read(cx, buf)
        } else {
            let length = self.ahead.len().min(buf.remaining());
            buf.put_slice(&self.ahead[..length]);
            self.ahead.drain(..length);
            Poll::Ready(Ok(()))
        };
        if buf.filled().len() > before {
            self.phase.bytes_received();
        }
        polled
    }
}

impl AsyncWrite for ActivityTracked {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.phase.client.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.phase.client.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// hyper calls it whenever the connection is driven.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.phase.client.is_on() && self.client_left(cx) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// A response body; reports its end to the phase when hyper drops it.
pub(super) struct TrackedResponseBody {
    pub(super) body: Body,
    pub(super) phase: Rc<RequestPhase>,
}

impl Drop for TrackedResponseBody {
    fn drop(&mut self) {
        self.phase.response_done();
    }
}

impl http_body::Body for TrackedResponseBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
