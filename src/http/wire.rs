//! A socket that knows how long its client has not read.
//!
//! A stalled client costs a bounded amount (the kernel's send buffer, hyper's, one page of the log), but it should not
//! cost that for ever. The core's tick asks every wire how long it has been blocked; no wire has a timer of its own.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use slab::Slab;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::stream::{streams::TICK, takeover::Handover};

/// A connection's socket. It is on its core's list for as long as it lives.
pub struct Wire {
    /// There until it is taken over.
    socket: Option<TcpStream>,
    state: Rc<State>,
    handover: Rc<Handover>,
    wires: Rc<Wires>,
    key: usize,
}

/// The sockets of one core.
#[derive(Debug, Default)]
pub struct Wires {
    open: RefCell<Slab<Rc<State>>>,
}

/// What the core's tick sees of a wire.
#[derive(Debug, Default)]
pub struct State {
    blocked: Cell<bool>,
    blocked_ticks: Cell<u32>,
    cut: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Wires {
    /// Adds a socket.
    #[must_use]
    pub fn add(self: &Rc<Self>, socket: TcpStream, handover: Rc<Handover>) -> Wire {
        let state = Rc::new(State::default());
        let key = self.open.borrow_mut().insert(Rc::clone(&state));
        Wire { socket: Some(socket), state, handover, wires: Rc::clone(self), key }
    }

    /// Counts a tick and cuts the wires that have been blocked for longer than `limit`. Answers with how many.
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

impl Wire {
    /// The socket, for another to go on with.
    #[must_use]
    pub fn into_socket(mut self) -> TcpStream {
        self.socket.take().expect("taken once")
    }

    fn socket(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.socket.as_mut().expect("not taken"))
    }

    /// Notes whether the client takes bytes; a cut wire fails.
    fn note<T>(&self, cx: &Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if self.state.cut.get() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.state.blocked.set(result.is_pending());
        if result.is_pending() {
            *self.state.waker.borrow_mut() = Some(cx.waker().clone());
        } else {
            self.state.blocked_ticks.set(0);
        }
        result
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.wires.open.borrow_mut().remove(self.key);
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
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
            self.handover.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_shutdown(cx)
    }
}
