//! The socket of a stream that was taken over from hyper, plain or TLS.
//!
//! rustls buffers at most one record that the socket has no room for, so a stalled TLS client costs one record more
//! than a plain one.

use std::{
    io::{self, IoSlice, Read as _, Write},
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use rustix::{
    io::Errno,
    net::{SendFlags, send},
};
use rustls::{ProtocolVersion, ServerConnection};

use super::transport::Transport;

/// Bytes that rustls may buffer for the socket: one full record (RFC 8446, section 5.1).
const RECORD_BYTES: usize = 16 << 10;

/// Reads in a row from one client, which has no reason to send anything, before other tasks have their turn.
const READS_PER_POLL: usize = 8;

/// The socket of a stream, plain or TLS.
#[derive(Debug)]
pub struct Socket {
    tcp: Transport,
    /// TLS state, boxed because plain streams have none.
    session: Option<Box<ServerConnection>>,
    /// Whether the client has closed its direction.
    half_closed: bool,
}

impl Socket {
    /// A socket whose bytes are sent as they are.
    #[must_use]
    pub fn plain(tcp: Transport) -> Self {
        Self { tcp, session: None, half_closed: false }
    }

    /// A socket whose bytes are encrypted by `session`, which must have nothing left to write.
    #[must_use]
    pub fn secure(tcp: Transport, mut session: ServerConnection) -> Self {
        session.set_buffer_limit(Some(RECORD_BYTES));
        Self { tcp, session: Some(Box::new(session)), half_closed: false }
    }

    /// Sends as many bytes as there is room for, without waiting, and returns how many were taken. With TLS some of
    /// those may still be buffered: see [`Socket::is_behind`].
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is no room; any other kind when the connection is broken.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(session) = &mut self.session else {
            return loop {
                // Not through tokio: its cached readiness is not needed, the kernel answers at once.
                match send(&self.tcp, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                    Err(Errno::INTR) => {}
                    sent => break Ok(sent?),
                }
            };
        };
        let mut sent = 0;
        while sent < bytes.len() && flush(session, &self.tcp)? {
            sent += session.writer().write(&bytes[sent..])?;
        }
        if sent > 0 {
            flush(session, &self.tcp)?;
        }
        Ok(sent)
    }

    /// Whether encrypted bytes are buffered until the socket has room.
    pub fn is_behind(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.wants_write())
    }

    /// Sends all of `bytes`, and what is buffered. `sent` is called whenever the socket took something.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut Bytes,
        mut sent: impl FnMut(),
    ) -> Poll<io::Result<()>> {
        while !bytes.is_empty() || self.is_behind() {
            std::task::ready!(self.tcp.poll_write_ready(cx))?;
            match &mut self.session {
                None => match self.tcp.try_write(bytes) {
                    Ok(count) => {
                        bytes.advance(count);
                        sent();
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Poll::Ready(Err(error)),
                },
                Some(session) => {
                    if !session.wants_write() {
                        let count = session.writer().write(bytes)?;
                        bytes.advance(count);
                    }
                    match session.write_tls(&mut SocketWriter(&self.tcp)) {
                        Ok(_) => sent(),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads and discards what the client sends, and returns whether it has just closed its direction. After that it
    /// may still read (netcat does), or it may be gone: then a later send is answered with a reset, which is an error
    /// here.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn discard_input(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        if self.half_closed {
            return self.tcp.take_error()?.map_or(Ok(false), Err);
        }
        let mut discarded = [0; 1024];
        for _ in 0..READS_PER_POLL {
            let Poll::Ready(ready) = self.tcp.poll_read_ready(cx) else { return Ok(false) };
            let read = ready.and_then(|()| match &mut self.session {
                None => self.tcp.try_read(&mut discarded),
                Some(session) => read_records(session, &self.tcp, &mut discarded),
            });
            match read {
                Ok(0) => {
                    self.half_closed = true;
                    return Ok(true);
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        cx.waker().wake_by_ref();
        Ok(false)
    }

    /// Whether the client has closed its direction.
    pub fn is_half_closed(&self) -> bool {
        self.half_closed
    }

    /// Sends TLS's `close_notify` if there is room, so that the client can tell the end from a broken connection.
    pub fn send_close_notify(&mut self) {
        if let Some(session) = &mut self.session {
            session.send_close_notify();
            // On failure the last chunk, which was sent before, still marks the end of the body.
            let _ = flush(session, &self.tcp);
        }
    }
}

/// Sends the buffered records and returns whether none is left.
fn flush(session: &mut ServerConnection, tcp: &Transport) -> io::Result<bool> {
    while session.wants_write() {
        match session.write_tls(&mut SocketWriter(tcp)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Reads records and discards their content. Returns 0 when the client has closed its direction.
fn read_records(session: &mut ServerConnection, tcp: &Transport, discarded: &mut [u8]) -> io::Result<usize> {
    let read = session.read_tls(&mut SocketReader(tcp))?;
    let state = session.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let mut left = state.plaintext_bytes_to_read();
    while left > 0 {
        left -= session.reader().read(discarded)?;
    }
    if state.peer_has_closed() && session.protocol_version() == Some(ProtocolVersion::TLSv1_2) {
        // In TLS 1.2 `close_notify` closes both directions (RFC 5246, section 7.2.1).
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    Ok(if state.peer_has_closed() { 0 } else { read })
}

/// Writes to a socket without waiting.
struct SocketWriter<'a>(&'a Transport);

impl Write for SocketWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads from a socket without waiting.
struct SocketReader<'a>(&'a Transport);

impl io::Read for SocketReader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(bytes)
    }
}
