//! The socket of a stream that was taken over from hyper, in the clear or within TLS.
//!
//! rustls makes records of bytes and keeps no more of them than one record that the socket has no room for: so a stalled
//! client costs one record besides what it costs in the clear.

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

use crate::http::transport::Transport;

/// Bytes of records that wait for the socket: one full record (RFC 8446, section 5.1).
const RECORD: usize = 16 << 10;

/// Reads in a row of a client that should have nothing to say.
const READS: usize = 8;

/// Where a stream's bytes go.
#[derive(Debug)]
pub struct Socket {
    tcp: Transport,
    /// On the heap, because most streams may have none.
    session: Option<Box<ServerConnection>>,
    /// Whether the client has closed its direction.
    ended: bool,
}

impl Socket {
    /// One whose bytes go as they are.
    #[must_use]
    pub fn plain(tcp: Transport) -> Self {
        Self { tcp, session: None, ended: false }
    }

    /// One whose bytes go within TLS. All that was written to `session` must have been sent.
    #[must_use]
    pub fn secure(tcp: Transport, mut session: ServerConnection) -> Self {
        session.set_buffer_limit(Some(RECORD));
        Self { tcp, session: Some(Box::new(session)), ended: false }
    }

    /// Sends what there is room for, and answers with how much that was: [`Socket::is_behind`] tells whether the client
    /// was sent all of that.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is no room; any other when it is broken.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(session) = &mut self.session else {
            return loop {
                // What the runtime knows of the socket is not asked: the kernel answers at once.
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

    /// Whether bytes that were taken wait for the socket.
    pub(super) fn is_behind(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.wants_write())
    }

    /// Sends all of `bytes`, and what is behind. `sent` is told whenever the socket took something.
    pub(super) fn poll_send(
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
                    match session.write_tls(&mut Records(&self.tcp)) {
                        Ok(_) => sent(),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Hears what the client has to say, which is nothing: what it sends is dropped. Answers with whether it has just closed its
    /// direction. It may read on (netcat does), or it has left: that shows only when it is sent something, by an error here.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(super) fn hear(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        if self.ended {
            return self.tcp.take_error()?.map_or(Ok(false), Err);
        }
        let mut junk = [0; 1024];
        for _ in 0..READS {
            let Poll::Ready(ready) = self.tcp.poll_read_ready(cx) else { return Ok(false) };
            let read = ready.and_then(|()| match &mut self.session {
                None => self.tcp.try_read(&mut junk),
                Some(session) => listen(session, &self.tcp, &mut junk),
            });
            match read {
                Ok(0) => {
                    self.ended = true;
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
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Says that nothing follows, as far as there is room for that: a reader can tell it from a connection that broke.
    pub(super) fn farewell(&mut self) {
        if let Some(session) = &mut self.session {
            session.send_close_notify();
            // The stream's own end was sent before, and says the same.
            let _ = flush(session, &self.tcp);
        }
    }
}

/// Sends the records that wait; answers with whether none is left.
fn flush(session: &mut ServerConnection, tcp: &Transport) -> io::Result<bool> {
    while session.wants_write() {
        match session.write_tls(&mut Records(tcp)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Takes records in, and drops what is in them. Zero when the client will send no more.
fn listen(session: &mut ServerConnection, tcp: &Transport, junk: &mut [u8]) -> io::Result<usize> {
    let read = session.read_tls(&mut Reads(tcp))?;
    let state = session.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let mut left = state.plaintext_bytes_to_read();
    while left > 0 {
        left -= session.reader().read(junk)?;
    }
    if state.peer_has_closed() && session.protocol_version() == Some(ProtocolVersion::TLSv1_2) {
        // There it closes both directions (RFC 5246, 7.2.1).
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    Ok(if state.peer_has_closed() { 0 } else { read })
}

/// Writes records to a socket without waiting.
struct Records<'a>(&'a Transport);

impl Write for Records<'_> {
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

/// Reads records from a socket without waiting.
struct Reads<'a>(&'a Transport);

impl io::Read for Reads<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(bytes)
    }
}
