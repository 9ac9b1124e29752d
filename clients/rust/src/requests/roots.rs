//! The certificates that a client of a hub trusts.

use std::{fs::File, io::Read as _, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::{ClientError, transport::trust};

/// A TLS configuration that trusts the system's root certificates and those in `ca`.
///
/// # Errors
/// When `ca` has no usable certificate, or when there are no root certificates.
pub fn config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, ClientError> {
    let (mut roots, error) = trust::system_roots();
    if let Some(path) = ca {
        add(path, &mut roots).map_err(|problem| ClientError::Ca { path: path.into(), problem })?;
    }
    trust::config(roots).ok_or_else(|| {
        let cause = error.map(|error| format!(" ({error})")).unwrap_or_default();
        ClientError::NoRoots { cause }
    })
}

/// Largest file of certificates, in bytes: all public root certificates together have some 250 KB.
const MAX_CA_BYTES: u64 = 4 << 20;

fn add(path: &Path, roots: &mut RootCertStore) -> Result<(), String> {
    let (before, mut text) = (roots.len(), Vec::new());
    let read = File::open(path).and_then(|file| file.take(MAX_CA_BYTES + 1).read_to_end(&mut text));
    if read.map_err(|error| error.to_string())? as u64 > MAX_CA_BYTES {
        return Err("it has more than 4 MiB, too much for a list of certificates".into());
    }
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.len() == before {
        return Err("it contains no certificate, which begins with -----BEGIN CERTIFICATE-----".into());
    }
    Ok(())
}
