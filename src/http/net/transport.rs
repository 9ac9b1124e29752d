//! The byte stream below HTTP: a TCP or a Unix socket, with the same methods for both.

use std::{
    io::{self, IoSlice},
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use rustix::net::{RecvFlags, recv};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{TcpStream, UnixStream},
};

/// A connected stream socket.
#[derive(Debug)]
pub enum Transport {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

/// Calls the same method on either socket.
macro_rules! either {
    ($self:expr, $socket:ident => $call:expr) => {
        match $self {
            Transport::Tcp($socket) => $call,
            Transport::Unix($socket) => $call,
        }
    };
}

impl Transport {
    /// Sets the kernel's send buffer in bytes, and for TCP how long unacknowledged data may remain
    /// (`TCP_USER_TIMEOUT`), and `TCP_NODELAY`. Errors are ignored: without an option a connection is slower, or its
    /// end is detected later.
    pub fn tune(&self, send_buffer: usize, vanished: Duration) {
        let _ = SockRef::from(self).set_send_buffer_size(send_buffer);
        if let Self::Tcp(socket) = self {
            let _ = socket.set_nodelay(true);
            let _ = SockRef::from(socket).set_tcp_user_timeout(Some(vanished));
        }
    }

    /// Whether it is a Unix socket: the peer is on this machine.
    #[must_use]
    pub fn is_unix(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    /// Takes the pending error of the socket (`SO_ERROR`), as after a reset.
    ///
    /// # Errors
    /// When the option cannot be read.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        either!(self, socket => socket.take_error())
    }

    /// Waits for bytes and copies them without consuming them (`MSG_PEEK`). Cancel safe.
    ///
    /// # Errors
    /// When the socket is broken.
    pub async fn peek(&self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut look = || Ok(recv(self, &mut *bytes, RecvFlags::PEEK | RecvFlags::DONTWAIT)?.0);
        either!(self, socket => socket.async_io(Interest::READABLE, &mut look).await)
    }

    /// Reads without waiting.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing is there; any other when the socket is broken.
    pub fn try_read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        either!(self, socket => socket.try_read(bytes))
    }

    /// Writes without waiting.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is no room; any other when the socket is broken.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        either!(self, socket => socket.try_write(bytes))
    }

    /// [`Transport::try_write`] for several buffers.
    ///
    /// # Errors
    /// The same.
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        either!(self, socket => socket.try_write_vectored(slices))
    }

    /// Waits until there may be something to read.
    ///
    /// # Errors
    /// When the runtime has ended.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, socket => socket.poll_read_ready(cx))
    }

    /// Waits until there may be room to write.
    ///
    /// # Errors
    /// When the runtime has ended.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, socket => socket.poll_write_ready(cx))
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        either!(self, socket => socket.as_fd())
    }
}

impl AsyncRead for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(&mut *self, socket => Pin::new(socket).poll_read(cx, buf))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(&mut *self, socket => Pin::new(socket).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(&mut *self, socket => Pin::new(socket).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        either!(self, socket => socket.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut *self, socket => Pin::new(socket).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut *self, socket => Pin::new(socket).poll_shutdown(cx))
    }
}
