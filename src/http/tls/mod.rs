//! TLS: who the hub proves to be. What it speaks is in [`converse`](super::converse).
//!
//! | room | idea |
//! |---|---|
//! | this file | what is offered to whoever connects |
//! | [`certificate`] | a certificate and its key in files, and new ones in their place |
//! | [`acme`] | certificates that are asked for |
//!
//! Versions 1.2 and 1.3, with the suites of rustls: all of them forward secret and authenticated. No renegotiation, no
//! compression, no early data (which could be replayed: a publish is no idempotent request).
//!
//! A client that comes back resumes by a ticket, which it keeps: sealed with a key that is in no file, lives for six hours
//! and opens for six more (`rustls::crypto::aws_lc_rs::Ticketer`). The hub keeps nothing for it, so there is nothing to
//! bound.

use std::{io, path::Path, sync::Arc, time::Duration};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{NoServerSessionStorage, ResolvesServerCert},
    version::{TLS12, TLS13},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

pub mod acme;
pub mod certificate;

use acme::Acme;
use certificate::Certificate;

/// How HTTP/2 is called in a handshake (RFC 9113, section 3.2).
pub const HTTP2: &[u8] = b"h2";

/// How HTTP/1.1 is called (RFC 7301, section 6).
pub const HTTP1: &[u8] = b"http/1.1";

/// What a certificate authority asks for to see whether a domain is ours (RFC 8737).
pub const ACME: &[u8] = b"acme-tls/1";

/// How often the files of a certificate are looked at: those who replace them wait, and it is two small reads.
pub const LOOK: Duration = Duration::from_secs(10);

/// The hub's side of every TLS connection.
pub struct TlsServer {
    acceptor: TlsAcceptor,
    /// In files, when it is.
    certificate: Option<Arc<Certificate>>,
}

impl TlsServer {
    /// With the certificate chain and the key in these files, PEM.
    ///
    /// # Errors
    /// Everything that is wrong with them, a line each.
    pub fn files(chain: &Path, key: &Path) -> Result<Self, Vec<String>> {
        let certificate = Arc::new(Certificate::load(chain, key)?);
        let acceptor = acceptor(Arc::clone(&certificate) as _, &[HTTP2, HTTP1]);
        Ok(Self { acceptor, certificate: Some(certificate) })
    }

    /// With what `acme` gets. Until then every handshake but the authority's fails.
    #[must_use]
    pub fn acme(acme: &Acme) -> Self {
        Self { acceptor: acceptor(acme.resolver(), &[HTTP2, HTTP1, ACME]), certificate: None }
    }

    /// Looks at the files now. What is new and sound is used from the next handshake on, and connections go on; what is not
    /// sound is logged once, and the old pair stays. Answers with whether there is nothing to complain of. Blocks on the
    /// disk.
    pub fn reload(&self) -> bool {
        self.certificate.as_ref().is_none_or(|certificate| certificate.reload())
    }

    /// Shakes hands. The caller bounds the time. Not cancel safe.
    ///
    /// # Errors
    /// When the client hangs up, speaks something else, or cannot agree.
    pub async fn accept<IO: AsyncRead + AsyncWrite + Unpin>(&self, io: IO) -> io::Result<TlsStream<IO>> {
        self.acceptor.accept(io).await
    }
}

/// The cryptography of everything here.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
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
    // Each costs a record, and a client that comes back brings one.
    config.send_tls13_tickets = 1;
    TlsAcceptor::from(Arc::new(config))
}
