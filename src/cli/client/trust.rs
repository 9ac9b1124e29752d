//! Certificate verification, and messages for its errors. Verification cannot be turned off.

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

/// A TLS configuration that trusts the system's root certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR` override them)
/// and those in `ca`.
///
/// # Errors
/// When `ca` has no usable certificate, or when there are no root certificates.
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
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let verifier = Arc::new(ExplainingVerifier(verifier.expect("there are roots, and no revocation lists")));
    // rustls calls this API dangerous because a custom verifier may accept anything. This one only changes error
    // messages.
    let mut config = config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// rustls's own verifier with a better error for self-signed certificates: when a trusted issuer has the same name,
/// rustls reports only a bad signature. This happens where Debian's ssl-cert-snakeoil is among the trusted
/// certificates: in images its name is often `localhost`.
#[derive(Debug)]
struct ExplainingVerifier(Arc<WebPkiServerVerifier>);

/// A self-signed certificate that is not trusted.
#[derive(Debug, thiserror::Error)]
#[error("the certificate is self-signed")]
struct SelfSigned;

impl ServerCertVerifier for ExplainingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let result = self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        result.map_err(|error| match error {
            Error::InvalidCertificate(reason) if concerns_the_issuer(&reason) && is_self_issued(end_entity) => {
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

fn concerns_the_issuer(reason: &CertificateError) -> bool {
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

/// Why the TLS handshake with `host` failed, and what to do.
pub(super) fn describe(error: &Error, host: &str) -> String {
    match error {
        Error::InvalidCertificate(certificate) => untrusted(certificate, host),
        Error::InvalidMessage(_) => "the server does not speak TLS; use http:// if that is right".into(),
        Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            format!("the server does not know the name {host}; use one of its names in the URL")
        }
        Error::NoApplicationProtocol | Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "the server does not speak HTTP/1.1".into()
        }
        error => error.to_string(),
    }
}

fn untrusted(error: &CertificateError, host: &str) -> String {
    match error {
        CertificateError::UnknownIssuer => {
            "this machine does not trust the issuer of its certificate; give the issuer's certificate with --ca".into()
        }
        // The second has the same cause: the signature is of another kind than the trusted key makes.
        CertificateError::BadSignature | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "its certificate names a trusted issuer, but was signed with another key; was the issuer replaced? \
             Give the issuer's current certificate with --ca"
                .into()
        }
        CertificateError::NotValidForName => {
            format!("its certificate is not for {host}; use one of its names in the URL")
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<_> = presented.iter().map(|name| plain(name)).collect();
            if names.is_empty() {
                return format!(
                    "its certificate has no subjectAltName, which must contain the name (CN is ignored); its operator \
                     must create one with -addext subjectAltName=DNS:{host}"
                );
            }
            let names = names.join(", ");
            format!("its certificate is for {names}, not for {host}; use one of these names in the URL")
        }
        CertificateError::Expired => expired(None),
        CertificateError::ExpiredContext { not_after, .. } => expired(Some(*not_after)),
        CertificateError::NotValidYet => early(None),
        CertificateError::NotValidYetContext { not_before, .. } => early(Some(*not_before)),
        CertificateError::Revoked => "its certificate was revoked; its operator must get a new one".into(),
        CertificateError::Other(other) if other.0.is::<SelfSigned>() => {
            "its certificate is self-signed, and this machine does not trust it; give that certificate with \
             --ca, if it is the hub's"
                .into()
        }
        // The default of `openssl req -x509`. rustls has no error variant for it.
        CertificateError::Other(other) if other.0.to_string() == "CaUsedAsEndEntity" => {
            "its certificate is that of an issuer (CA), which a server must not use; its operator must create one \
             with -addext basicConstraints=critical,CA:FALSE"
                .into()
        }
        error => format!("its certificate is not accepted: {error}"),
    }
}

fn expired(since: Option<UnixTime>) -> String {
    dated("its certificate has expired", since, "its operator must renew it, or this machine's clock is wrong")
}

fn early(until: Option<UnixTime>) -> String {
    dated("its certificate is not valid yet", until, "is this machine's clock right?")
}

fn dated(what: &str, when: Option<UnixTime>, then: &str) -> String {
    let mut message = what.to_owned();
    if let Some(when) = when {
        write!(message, " ({})", Millis(when.as_secs().saturating_mul(1000))).expect("memory");
    }
    write!(message, "; {then}").expect("memory");
    message
}

/// The name in rustls's form, `DnsName("hub.example")`.
fn plain(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}
