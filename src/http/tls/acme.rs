//! Certificates that are asked for, by ACME (RFC 8555), on the hub's own port (RFC 8737).
//!
//! rustls-acme does it. What it needs is an account and a place to keep it, a thread that may wait, and handshakes that are
//! answered by what it has: a certificate, or for the authority the proof that the domain is ours.

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

/// What is asked for, and of whom.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    /// Names on the certificate.
    pub domains: &'a [String],
    /// Whom the authority may write to, as URLs.
    pub contact: &'a [String],
    /// The authority's directory: a URL, `letsencrypt` or `letsencrypt-staging`.
    pub directory: &'a str,
    /// Roots of the authority's own certificate, PEM, beside the system's.
    pub roots: Option<&'a Path>,
    /// Where the account and the certificates are kept; made when missing, for nobody else to read.
    pub cache: PathBuf,
}

/// Somebody who gets certificates and renews them, when a third of their time is left.
pub struct Acme {
    state: AcmeState<io::Error>,
}

impl Acme {
    /// Prepares an order. Nothing is asked for yet.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn new(order: &Order<'_>) -> Result<Self, String> {
        let cache = &order.cache;
        private(cache).map_err(|error| format!("{} cannot be used: {error}", cache.display()))?;
        let client = ClientConfig::builder_with_provider(super::provider())
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

    /// Who answers handshakes.
    pub(super) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        self.state.resolver()
    }

    /// Gets certificates until the process ends, on a thread of its own. After a failure it waits for twice as long as
    /// after the last, up to eighteen hours.
    ///
    /// # Errors
    /// When the system refuses the thread.
    pub fn run(self, drain: Drain) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let mut state = self.state;
        let work = async move {
            while let Some(event) = state.next().await {
                match event {
                    Ok(event) => tracing::info!(acme.event = ?event, "ACME went on"),
                    Err(error) => tracing::error!(error = %error, "ACME failed; it is tried again"),
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

/// A directory that nobody else can look into, whoever made it.
fn private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

fn roots(more: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    // What cannot be read there is missed only by those whom it would have vouched for.
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
            "the system has no root certificates; install ca-certificates, or name some by tls.acme_roots".into()
        );
    }
    Ok(roots)
}
