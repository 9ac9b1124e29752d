//! A socket that knows how long its client has not read.
//!
//! A stalled client costs a bounded amount (the kernel's send buffer, hyper's, one page of the log), but it should not
//! cost that for ever. The core's tick asks every wire how long it has been blocked; no wire has a timer of its own. The
//! same list has the streams of HTTP/2 connections, each of which can stall by itself.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use slab::Slab;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::{
    stream::{streams::TICK, takeover::Takeover},
    transport::Transport,
};

/// A connection's socket. It is on its core's list for as long as it lives.
pub struct TrackedSocket {
    /// There until it is taken over.
    socket: Option<Transport>,
    /// Bytes that were read to see what they are, and are still to be read.
    seen: PeekBuffer,
    seat: StallHandle,
    takeover: Rc<Takeover>,
}

/// First bytes of a connection, to be read again.
#[derive(Debug, Default)]
struct PeekBuffer {
    bytes: [u8; SEEN],
    from: u8,
    to: u8,
}

/// Bytes that can be looked at and read again: the preface of HTTP/2 (RFC 9113, section 3.4).
pub const SEEN: usize = 24;

/// What may stall on one core: its sockets, and streams within them.
#[derive(Debug, Default)]
pub struct StallWatch {
    open: RefCell<Slab<Rc<StallState>>>,
}

/// A place on the core's list; leaves it when it is dropped.
#[derive(Debug)]
pub struct StallHandle {
    state: Rc<StallState>,
    stalls: Rc<StallWatch>,
    key: usize,
}

/// What the core's tick sees of a seat.
#[derive(Debug, Default)]
struct StallState {
    blocked: Cell<bool>,
    blocked_ticks: Cell<u32>,
    cut: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl StallWatch {
    /// Adds a socket.
    #[must_use]
    pub fn add(self: &Rc<Self>, socket: Transport, takeover: Rc<Takeover>) -> TrackedSocket {
        TrackedSocket { socket: Some(socket), seen: PeekBuffer::default(), seat: self.seat(), takeover }
    }

    /// Adds whatever may stall.
    #[must_use]
    pub fn seat(self: &Rc<Self>) -> StallHandle {
        let state = Rc::new(StallState::default());
        let key = self.open.borrow_mut().insert(Rc::clone(&state));
        StallHandle { state, stalls: Rc::clone(self), key }
    }

    /// Counts a tick and cuts what has been blocked for longer than `limit`. Answers with how many.
    pub fn tick(&self, limit: Duration) -> u64 {
        let mut cut = 0;
        for (_, state) in self.open.borrow().iter().filter(|(_, state)| state.blocked.get() && !state.cut.get()) {
            state.blocked_ticks.set(state.blocked_ticks.get() + 1);
            if TICK * state.blocked_ticks.get() > limit {
                state.cut.set(true);
                cut += 1;
                if let Some(waker) = &*state.waker.borrow() {
                    waker.wake_by_ref();
                }
            }
        }
        cut
    }
}

impl StallHandle {
    /// Nothing is taken from it at the moment; the task to wake when it is cut.
    pub fn block(&self, cx: &Context<'_>) {
        self.state.blocked.set(true);
        let mut waker = self.state.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// Something was taken from it, or nothing is offered.
    pub fn flow(&self) {
        self.state.blocked.set(false);
        self.state.blocked_ticks.set(0);
    }

    /// Whether it was blocked for too long.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.state.cut.get()
    }
}

impl Drop for StallHandle {
    fn drop(&mut self) {
        self.stalls.open.borrow_mut().remove(self.key);
    }
}

impl TrackedSocket {
    /// The socket, for another to go on with.
    #[must_use]
    pub fn into_socket(mut self) -> Transport {
        self.socket.take().expect("taken once")
    }

    /// Reads until the first bytes are other than `expected`, or all of it. Answers with whether they are. What was read
    /// is read again. `expected` has at most [`SEEN`] bytes. Cancel safe.
    ///
    /// # Errors
    /// When the socket fails, or ends before.
    pub async fn begins_with(&mut self, expected: &[u8]) -> io::Result<bool> {
        let socket = self.socket.as_mut().expect("not taken");
        let PeekBuffer { bytes, to, .. } = &mut self.seen;
        loop {
            let have = usize::from(*to);
            if bytes[..have] != expected[..have] || have == expected.len() {
                return Ok(have == expected.len() && bytes[..have] == *expected);
            }
            let read = socket.read(&mut bytes[have..expected.len()]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            *to += u8::try_from(read).expect("no more than SEEN bytes");
        }
    }

    /// The first byte, which stays to be read. Cancel safe.
    ///
    /// # Errors
    /// When the socket fails, or ends before.
    pub async fn first_byte(&self) -> io::Result<u8> {
        let mut byte = [0];
        match self.socket.as_ref().expect("not taken").peek(&mut byte).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(byte[0]),
        }
    }

    fn socket(&mut self) -> Pin<&mut Transport> {
        Pin::new(self.socket.as_mut().expect("not taken"))
    }

    /// Notes whether the client takes bytes; a cut wire fails.
    fn note<T>(&self, cx: &Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if self.seat.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if result.is_pending() {
            self.seat.block(cx);
        } else {
            self.seat.flow();
        }
        result
    }
}

impl AsyncRead for TrackedSocket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let PeekBuffer { bytes, from, to } = &mut self.seen;
        if from < to {
            let seen = &bytes[usize::from(*from)..usize::from(*to)];
            let read = seen.len().min(buf.remaining());
            buf.put_slice(&seen[..read]);
            *from += u8::try_from(read).expect("no more than SEEN bytes");
            return Poll::Ready(Ok(()));
        }
        self.socket().poll_read(cx, buf)
    }
}

impl AsyncWrite for TrackedSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = self.socket().poll_write(cx, bytes);
        self.note(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = self.socket().poll_write_vectored(cx, slices);
        self.note(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.socket().poll_flush(cx);
        if flushed.is_ready() {
            self.takeover.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_shutdown(cx)
    }
}
