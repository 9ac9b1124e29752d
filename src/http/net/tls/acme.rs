//! Certificates by ACME (RFC 8555), validated on the hub's own port (TLS-ALPN-01, RFC 8737).
//!
//! rustls-acme implements the protocol. This module gives it a directory for the account and the certificates, a
//! thread, and the handshakes, which it answers with a certificate or, for the authority, with the proof of control
//! over the domain.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
    server::ResolvesServerCert,
};
use rustls_acme::{AcmeConfig, AcmeState, caches::DirCache};
use tokio_stream::StreamExt;

use crate::lifecycle::Drain;

/// A certificate order.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    /// Names on the certificate.
    pub domains: &'a [String],
    /// Contacts for the authority, as URLs.
    pub contact: &'a [String],
    /// The authority's directory: a URL, `letsencrypt` or `letsencrypt-staging`.
    pub directory: &'a str,
    /// Additional root certificates for the connection to the authority, PEM.
    pub roots: Option<&'a Path>,
    /// The directory of the account and the certificates. Created if it is missing, with access for the owner only.
    pub cache: PathBuf,
}

/// Obtains certificates, and renews them when a third of their lifetime is left.
pub struct Acme {
    state: AcmeState<io::Error>,
}

impl Acme {
    /// Prepares an order without any request.
    ///
    /// # Errors
    /// What is wrong with the order, in words.
    pub fn new(order: &Order<'_>) -> Result<Self, String> {
        let cache = &order.cache;
        private(cache).map_err(|error| format!("{} cannot be used: {error}", cache.display()))?;
        let client = ClientConfig::builder_with_provider(super::provider::provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both")
            .with_root_certificates(roots(order.roots)?)
            .with_no_client_auth();
        let config = AcmeConfig::new_with_client_config(order.domains, Arc::new(client))
            .contact(order.contact)
            .cache(DirCache::new(order.cache.clone()));
        let config = match order.directory {
            "letsencrypt" => config.directory_lets_encrypt(true),
            "letsencrypt-staging" => config.directory_lets_encrypt(false),
            url => config.directory(url),
        };
        Ok(Self { state: config.state() })
    }

    /// The certificate resolver for handshakes.
    pub(super) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        self.state.resolver()
    }

    /// Obtains certificates on a thread of its own until the drain has ended. After a failure it retries; each delay is
    /// twice the last one, up to eighteen hours.
    ///
    /// # Errors
    /// When the system refuses the thread.
    pub fn run(self, drain: Drain) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let mut state = self.state;
        let work = async move {
            while let Some(event) = state.next().await {
                match event {
                    Ok(event) => tracing::info!(acme.event = ?event, "ACME event"),
                    Err(error) => tracing::error!(error = %error, "ACME failed; it is retried"),
                }
            }
        };
        let until = async move {
            tokio::select! {
                () = work => {}
                () = drain.ended() => {}
            }
        };
        thread::Builder::new().name("acme".into()).spawn(move || runtime.block_on(until)).map(drop)
    }
}

/// Creates a directory with access for its owner only, or restricts an existing one.
fn private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

fn roots(more: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    // A system root that cannot be parsed is skipped; verification fails if it was needed.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = more {
        let wrong = |error: &dyn std::fmt::Display| format!("{} has no root certificates: {error}", path.display());
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))? {
            let certificate = certificate.map_err(|error| wrong(&error))?;
            roots.add(certificate).map_err(|error| wrong(&error))?;
        }
    }
    if roots.is_empty() {
        return Err(
            "the system has no root certificates; install ca-certificates, or name some in tls.acme_roots".into()
        );
    }
    Ok(roots)
}
