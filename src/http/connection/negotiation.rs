//! The first bytes of a connection: what it speaks.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::maybe_tls::MaybeTls;
use crate::http::{
    tls::{self, TlsServer},
    tracked_socket::TrackedSocket,
};

/// What an HTTP/2 connection begins with (RFC 9113, section 3.4). HTTP/1.1 has no method PRI, and the second byte tells.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first byte of every TLS connection: a record of the handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// What is said to someone who speaks HTTP where TLS is spoken, as nginx and Go do. Bare, because it is no request's
/// answer.
const USE_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\
    content-length: 49\r\n\r\nThis port speaks TLS: use https:// in its place.\n";

/// How long, and how many bytes, someone is listened to who was told so: what is unread when a socket is closed takes the
/// answer with it.
const LINGER: (Duration, u64) = (Duration::from_secs(1), 64 << 10);

/// A connection whose protocol is known.
pub(super) enum Negotiated {
    Http1(MaybeTls),
    Http2(MaybeTls),
}

/// Finds out what a connection speaks; `None` when it is nothing that could be served. The caller bounds the time. Not
/// cancel safe: what was read is gone with the connection.
pub(super) async fn open(tls: Option<&TlsServer>, wire: TrackedSocket) -> Option<Negotiated> {
    let opened = match tls {
        Some(tls) => secure(tls, wire).await,
        None => plain(wire).await.map(Some),
    };
    // Scanners cause it all the time, and no operator can do anything about it.
    opened.inspect_err(|error| tracing::debug!(error = %error, "a connection did not begin")).ok().flatten()
}

async fn plain(mut wire: TrackedSocket) -> io::Result<Negotiated> {
    let http2 = wire.begins_with(PREFACE).await?;
    let channel = MaybeTls::Plain(wire);
    Ok(if http2 { Negotiated::Http2(channel) } else { Negotiated::Http1(channel) })
}

async fn secure(tls: &TlsServer, mut wire: TrackedSocket) -> io::Result<Option<Negotiated>> {
    if wire.first_byte().await? != HANDSHAKE {
        wire.write_all(USE_TLS).await?;
        wire.shutdown().await?;
        let mut rest = wire.take(LINGER.1);
        let _ = timeout(LINGER.0, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
        return Ok(None);
    }
    let stream = tls.accept(wire).await?;
    let protocol = stream.get_ref().1.alpn_protocol();
    Ok(match protocol {
        Some(tls::HTTP2) => Some(Negotiated::Http2(MaybeTls::Secure(Box::new(stream)))),
        // The handshake was all that the certificate authority came for.
        Some(tls::ACME) => None,
        _ => Some(Negotiated::Http1(MaybeTls::Secure(Box::new(stream)))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_to_use_tls_is_as_long_as_it_says() {
        let text = std::str::from_utf8(USE_TLS).expect("ASCII");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
        assert!(body.ends_with('\n'), "terminals show it");
    }
}
