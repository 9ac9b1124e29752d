//! A socket that measures how long its client has not read.
//!
//! A stalled client costs a bounded amount of memory (the kernel's send buffer, hyper's, one page of the log), but must
//! not hold it indefinitely. The core's tick checks how long each socket has been blocked; no socket has a timer of its
//! own. The streams of HTTP/2 connections are on the same list, because each can stall by itself.

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

use super::{takeover::Takeover, transport::Transport};

/// Interval between calls of [`StallWatch::tick`].
pub const TICK: Duration = Duration::from_secs(1);

/// A connection's socket. It is on the core's list until it is dropped.
pub struct TrackedSocket {
    /// `None` once it is taken over.
    socket: Option<Transport>,
    /// Bytes that were read to detect the protocol, and that the next reads return.
    peeked: PeekBuffer,
    handle: StallHandle,
    takeover: Rc<Takeover>,
}

/// The first bytes of a connection: `bytes[from..to]` are still to be returned.
#[derive(Debug, Default)]
struct PeekBuffer {
    bytes: [u8; PEEK_BYTES],
    from: u8,
    to: u8,
}

/// Capacity of the peek buffer: the length of the HTTP/2 preface (RFC 9113, section 3.4).
pub const PEEK_BYTES: usize = 24;

/// The sockets and HTTP/2 streams of one core that may stall.
#[derive(Debug, Default)]
pub struct StallWatch {
    open: RefCell<Slab<Rc<StallState>>>,
}

/// An entry of the core's list. Dropping it removes the entry.
#[derive(Debug)]
pub struct StallHandle {
    state: Rc<StallState>,
    stalls: Rc<StallWatch>,
    key: usize,
}

/// What a handle shares with the core's tick.
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
        TrackedSocket { socket: Some(socket), peeked: PeekBuffer::default(), handle: self.handle(), takeover }
    }

    /// Adds an entry for a stream.
    #[must_use]
    pub fn handle(self: &Rc<Self>) -> StallHandle {
        let state = Rc::new(StallState::default());
        let key = self.open.borrow_mut().insert(Rc::clone(&state));
        StallHandle { state, stalls: Rc::clone(self), key }
    }

    /// Counts a tick and cuts every entry that has been blocked for longer than `limit`. Returns the number cut.
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
    /// Marks it as blocked: the client takes no bytes. Cutting it wakes the task of `cx`.
    pub fn mark_blocked(&self, cx: &Context<'_>) {
        self.state.blocked.set(true);
        let mut waker = self.state.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// Marks it as not blocked: the client took bytes, or none are offered.
    pub fn mark_progress(&self) {
        self.state.blocked.set(false);
        self.state.blocked_ticks.set(0);
    }

    /// Cuts it, whether it is blocked or not. To be followed by a wake-up of its task.
    pub fn cut(&self) {
        self.state.cut.set(true);
    }

    /// Whether it was cut, mostly because it was blocked for too long.
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
    /// The socket, for its next owner.
    #[must_use]
    pub fn into_socket(mut self) -> Transport {
        self.socket.take().expect("taken once")
    }

    /// Reads until the first bytes differ from `expected`, or all of it has arrived, and returns whether they are
    /// equal. Later reads return these bytes again. `expected` has at most [`PEEK_BYTES`]. Cancel safe.
    ///
    /// # Errors
    /// When the socket fails, or ends before.
    pub async fn begins_with(&mut self, expected: &[u8]) -> io::Result<bool> {
        let socket = self.socket.as_mut().expect("not taken");
        let PeekBuffer { bytes, to, .. } = &mut self.peeked;
        loop {
            let have = usize::from(*to);
            if bytes[..have] != expected[..have] || have == expected.len() {
                return Ok(have == expected.len() && bytes[..have] == *expected);
            }
            let read = socket.read(&mut bytes[have..expected.len()]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            *to += u8::try_from(read).expect("no more than PEEK_BYTES bytes");
        }
    }

    /// The first byte, which is not consumed. Cancel safe.
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

    /// Records whether the client takes bytes; fails when the socket was cut.
    fn note<T>(&self, cx: &Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if self.handle.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if result.is_pending() {
            self.handle.mark_blocked(cx);
        } else {
            self.handle.mark_progress();
        }
        result
    }
}

impl AsyncRead for TrackedSocket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let PeekBuffer { bytes, from, to } = &mut self.peeked;
        if from < to {
            let peeked = &bytes[usize::from(*from)..usize::from(*to)];
            let read = peeked.len().min(buf.remaining());
            buf.put_slice(&peeked[..read]);
            *from += u8::try_from(read).expect("no more than PEEK_BYTES bytes");
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
