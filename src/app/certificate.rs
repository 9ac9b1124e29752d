//! The hub's TLS certificate: from files, or by ACME.

use super::AppError;
use crate::{
    config::Config,
    http::net::tls::{
        TlsServer,
        acme::{Acme, Order},
    },
    lifecycle::Drain,
};

/// The certificate from files; `None` when no files are configured.
pub(super) fn files(config: &Config) -> Option<Result<TlsServer, AppError>> {
    let (cert, key) = config.tls.cert.as_ref().zip(config.tls.key.as_ref())?;
    Some(TlsServer::files(cert, key).map_err(AppError::Tls))
}

/// The TLS configuration; `None` without TLS. With ACME, starts ordering the certificate in the background.
pub(super) fn tls(config: &Config, drain: &Drain) -> Result<Option<TlsServer>, AppError> {
    let Config { tls, hub, .. } = config;
    if tls.acme.is_empty() {
        return files(config).transpose();
    }
    let acme = Acme::new(&Order {
        domains: &tls.acme,
        contact: &tls.acme_contact,
        directory: &tls.acme_directory,
        roots: tls.acme_roots.as_deref(),
        cache: hub.data.join("acme"),
    });
    let acme = acme.map_err(|problem| AppError::Tls(vec![problem]))?;
    let tls = TlsServer::acme(&acme);
    acme.run(drain.clone())?;
    Ok(Some(tls))
}
