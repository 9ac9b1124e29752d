//! The TLS server. [`connection`](super::connection) negotiates the protocol above it.
//!
//! | module | idea |
//! |---|---|
//! | this file | [`TlsServer`]: versions, suites, ALPN, session tickets |
//! | [`certificate`] | a certificate and its key in files, reloaded when the files change |
//! | `provider` | the cryptography of the server and of ACME |
//! | [`acme`] | certificates by ACME |
//!
//! Versions 1.2 and 1.3, with the cipher suites of rustls, all with forward secrecy and authenticated encryption. No
//! renegotiation, no compression, no early data (0-RTT data can be replayed, and a publish is not idempotent).
//!
//! Clients resume sessions with tickets, so the hub stores nothing for them. The ticket key is in memory only; it
//! encrypts for six hours and decrypts for six more (`rustls::crypto::aws_lc_rs::Ticketer`).

use std::{io, path::Path, sync::Arc, time::Duration};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{NoServerSessionStorage, ResolvesServerCert},
    version::{TLS12, TLS13},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

pub mod acme;
pub mod certificate;
mod provider;

use acme::Acme;
use certificate::Certificate;
use provider::provider;

/// The ALPN name of HTTP/2 (RFC 9113, section 3.2).
pub const HTTP2: &[u8] = b"h2";

/// The ALPN name of HTTP/1.1 (RFC 7301, section 6).
pub const HTTP1: &[u8] = b"http/1.1";

/// The ALPN name with which a certificate authority validates a domain (RFC 8737).
pub const ACME: &[u8] = b"acme-tls/1";

/// How often the certificate's files are checked: soon enough for an operator who waits for it, and only two small
/// reads.
pub const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// The server side of TLS connections.
pub struct TlsServer {
    acceptor: TlsAcceptor,
    /// The certificate, if it is in files.
    certificate: Option<Arc<Certificate>>,
}

impl TlsServer {
    /// A server with the certificate chain and the key in these PEM files.
    ///
    /// # Errors
    /// Every error of the files, a line each.
    pub fn files(chain: &Path, key: &Path) -> Result<Self, Vec<String>> {
        let certificate = Arc::new(Certificate::load(chain, key)?);
        let acceptor = acceptor(Arc::clone(&certificate) as _, &[HTTP2, HTTP1]);
        Ok(Self { acceptor, certificate: Some(certificate) })
    }

    /// A server with the certificates of `acme`. Until there is one, every handshake but the authority's fails.
    #[must_use]
    pub fn acme(acme: &Acme) -> Self {
        Self { acceptor: acceptor(acme.resolver(), &[HTTP2, HTTP1, ACME]), certificate: None }
    }

    /// Checks the files now. A changed and valid pair is used from the next handshake on; existing connections are not
    /// affected. An invalid pair is logged once, and the old pair stays in use. Returns false when the files are
    /// invalid now. Blocks on the disk.
    pub fn reload(&self) -> bool {
        self.certificate.as_ref().is_none_or(|certificate| certificate.reload())
    }

    /// Performs a handshake. The caller bounds the time. Not cancel safe.
    ///
    /// # Errors
    /// When the client closes the connection, does not speak TLS, or has no version or suite in common.
    pub async fn accept<IO: AsyncRead + AsyncWrite + Unpin>(&self, io: IO) -> io::Result<TlsStream<IO>> {
        self.acceptor.accept(io).await
    }
}

fn acceptor(certificates: Arc<dyn ResolvesServerCert>, protocols: &[&[u8]]) -> TlsAcceptor {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("the provider has suites for both")
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = aws_lc_rs::Ticketer::new().expect("the system has random numbers");
    // One instead of two: each costs a record, and a client gets another one when it resumes.
    config.send_tls13_tickets = 1;
    TlsAcceptor::from(Arc::new(config))
}
