//! Detecting the protocol by the first bytes of a connection.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::maybe_tls::MaybeTls;
use crate::http::net::{
    tls::{self, TlsServer},
    tracked_socket::TrackedSocket,
};

/// The preface of an HTTP/2 connection (RFC 9113, section 3.4). No method of HTTP/1.1 begins with `PRI`, and the second
/// byte decides.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first byte of every TLS connection: a record of the handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// The response to plain HTTP on a TLS port, as nginx and Go send it. Without the usual headers, because no request was
/// parsed.
const USE_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\
    content-length: 49\r\n\r\nThis port speaks TLS: use https:// in its place.\n";

/// For how long, and for how many bytes, the hub reads on after that response: unread data at close would reset the
/// connection and discard the response.
const LINGER: (Duration, u64) = (Duration::from_secs(1), 64 << 10);

/// A connection whose protocol is known.
pub(super) enum Negotiated {
    Http1(MaybeTls),
    Http2(MaybeTls),
}

impl Negotiated {
    /// The version in the log. An HTTP/1.1 connection may carry requests of HTTP/1.0.
    pub(super) fn http_version(&self) -> &'static str {
        match self {
            Self::Http1(_) => "1.1",
            Self::Http2(_) => "2",
        }
    }
}

/// Detects the protocol and performs the TLS handshake; `None` when there is nothing to serve. The caller bounds the
/// time. Not cancel safe: bytes that were read are lost with the connection.
pub(super) async fn open(tls: Option<&TlsServer>, socket: TrackedSocket) -> Option<Negotiated> {
    let opened = match tls {
        Some(tls) => secure(tls, socket).await,
        None => plain(socket).await.map(Some),
    };
    // Port scanners cause such errors all the time, and an operator can do nothing about them.
    opened
        .inspect_err(|error| tracing::debug!(error = %error, "a connection failed before its first request"))
        .ok()
        .flatten()
}

async fn plain(mut socket: TrackedSocket) -> io::Result<Negotiated> {
    let http2 = socket.begins_with(PREFACE).await?;
    let stream = MaybeTls::Plain(socket);
    Ok(if http2 { Negotiated::Http2(stream) } else { Negotiated::Http1(stream) })
}

async fn secure(tls: &TlsServer, mut socket: TrackedSocket) -> io::Result<Option<Negotiated>> {
    if socket.first_byte().await? != HANDSHAKE {
        socket.write_all(USE_TLS).await?;
        socket.shutdown().await?;
        let mut rest = socket.take(LINGER.1);
        let _ = timeout(LINGER.0, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
        return Ok(None);
    }
    let stream = tls.accept(socket).await?;
    let protocol = stream.get_ref().1.alpn_protocol();
    Ok(match protocol {
        Some(tls::HTTP2) => Some(Negotiated::Http2(MaybeTls::Secure(Box::new(stream)))),
        // The handshake is all that the certificate authority needs.
        Some(tls::ACME) => None,
        _ => Some(Negotiated::Http1(MaybeTls::Secure(Box::new(stream)))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_response_to_plain_http_has_the_length_that_it_declares() {
        let text = std::str::from_utf8(USE_TLS).expect("ASCII");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
        assert!(body.ends_with('\n'), "terminals show it");
    }
}
