//! Whose certificates are taken, and why one was not, in words. There is no way not to look at them.

use std::{fmt::Write as _, fs::File, io::Read as _, path::Path, sync::Arc};

use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use crate::{cli::CliError, event::time::Millis};

/// TLS that takes what this machine trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` say what that is) and the certificates in
/// `ca`.
///
/// # Errors
/// When `ca` holds none, or there is nobody to trust.
pub(super) fn config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, CliError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    if let Some(path) = ca {
        add(path, &mut roots).map_err(|problem| CliError::Ca { path: path.into(), problem })?;
    }
    if roots.is_empty() {
        let cause = native.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(CliError::NoRoots { cause });
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has TLS 1.2 and 1.3");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let judge = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let judge = Arc::new(Explaining(judge.expect("there are roots, and no revocation lists")));
    // Dangerous would be a verifier of our own. This one asks rustls's and changes no verdict.
    let mut config = config.dangerous().with_custom_certificate_verifier(judge).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// rustls's own judge, and one reason more: of a certificate that vouches for itself it says no more than that the issuer's
/// signature is wrong, when an issuer of the same name is trusted. Debian's ssl-cert-snakeoil is among what a machine trusts,
/// and where it was made in an image its name is often `localhost`.
#[derive(Debug)]
struct Explaining(Arc<WebPkiServerVerifier>);

/// A certificate that is its own issuer, and is not trusted as one.
#[derive(Debug, thiserror::Error)]
#[error("the certificate vouches for itself")]
struct SelfSigned;

impl ServerCertVerifier for Explaining {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        verdict.map_err(|error| match error {
            Error::InvalidCertificate(reason) if is_about_the_issuer(&reason) && is_self_issued(end_entity) => {
                Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(SelfSigned))))
            }
            error => error,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

fn is_about_the_issuer(reason: &CertificateError) -> bool {
    matches!(
        reason,
        CertificateError::UnknownIssuer
            | CertificateError::BadSignature
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. }
    )
}

fn is_self_issued(certificate: &CertificateDer<'_>) -> bool {
    webpki::EndEntityCert::try_from(certificate).is_ok_and(|certificate| certificate.issuer() == certificate.subject())
}

/// Longest file of certificates read: all public issuers together have some 250 KB.
const MAX_CA_BYTES: u64 = 4 << 20;

fn add(path: &Path, roots: &mut RootCertStore) -> Result<(), String> {
    let (before, mut text) = (roots.len(), Vec::new());
    let read = File::open(path).and_then(|file| file.take(MAX_CA_BYTES + 1).read_to_end(&mut text));
    if read.map_err(|error| error.to_string())? as u64 > MAX_CA_BYTES {
        return Err("it has more than 4 MiB, which is no list of issuers".into());
    }
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.len() == before {
        return Err("there is no certificate in it; one begins with -----BEGIN CERTIFICATE-----".into());
    }
    Ok(())
}

/// Why there is no TLS with `host`, and what to do.
pub(super) fn in_words(error: &Error, host: &str) -> String {
    match error {
        Error::InvalidCertificate(certificate) => untrusted(certificate, host),
        Error::InvalidMessage(_) => "what answered does not speak TLS; is it http://?".into(),
        Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            format!("it knows no {host}; use a name of it in the URL")
        }
        Error::NoApplicationProtocol | Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "it does not speak HTTP/1.1".into()
        }
        error => error.to_string(),
    }
}

fn untrusted(error: &CertificateError, host: &str) -> String {
    match error {
        CertificateError::UnknownIssuer => {
            "its certificate is of an issuer that this machine does not trust; give the issuer's own with --ca".into()
        }
        // The second says the same: a signature of another kind than that key makes.
        CertificateError::BadSignature | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "its certificate names an issuer that is trusted, but was made with another key; was the issuer made anew? \
             Give its present certificate with --ca"
                .into()
        }
        CertificateError::NotValidForName => {
            format!("its certificate is not for {host}; use a name of it in the URL")
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<_> = presented.iter().map(|name| plain(name)).collect();
            if names.is_empty() {
                return format!(
                    "its certificate has no subjectAltName, where a name must stand (CN is not looked at); its operator \
                     must have one made with -addext subjectAltName=DNS:{host}"
                );
            }
            let names = names.join(", ");
            format!("its certificate is for {names}, not for {host}; use a name of it in the URL")
        }
        CertificateError::Expired => expired(None),
        CertificateError::ExpiredContext { not_after, .. } => expired(Some(*not_after)),
        CertificateError::NotValidYet => early(None),
        CertificateError::NotValidYetContext { not_before, .. } => early(Some(*not_before)),
        CertificateError::Revoked => "its certificate was revoked; its operator must have another one issued".into(),
        CertificateError::Other(other) if other.0.is::<SelfSigned>() => {
            "its certificate vouches for itself (self-signed), and this machine does not trust it; give that certificate with \
             --ca, if it is the hub's"
                .into()
        }
        // What `openssl req -x509` makes unless it is told otherwise. rustls has no name of its own for it.
        CertificateError::Other(other) if other.0.to_string() == "CaUsedAsEndEntity" => {
            "its certificate is an issuer's, which may sign others and be no server's; its operator must have one made \
             with -addext basicConstraints=critical,CA:FALSE"
                .into()
        }
        error => format!("its certificate cannot be taken: {error}"),
    }
}

fn expired(since: Option<UnixTime>) -> String {
    dated("its certificate has expired", since, "its operator must renew it, or this machine's clock is wrong")
}

fn early(until: Option<UnixTime>) -> String {
    dated("its certificate is not valid yet", until, "is this machine's clock right?")
}

fn dated(what: &str, when: Option<UnixTime>, then: &str) -> String {
    let mut words = what.to_owned();
    if let Some(when) = when {
        write!(words, " ({})", Millis(when.as_secs().saturating_mul(1000))).expect("memory");
    }
    write!(words, "; {then}").expect("memory");
    words
}

/// A name as rustls quotes it, `DnsName("hub.example")`, without its wrapping.
fn plain(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}
