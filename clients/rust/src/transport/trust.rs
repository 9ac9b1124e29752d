//! Certificate verification. It cannot be turned off.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

/// The root certificates of this machine (`SSL_CERT_FILE` and `SSL_CERT_DIR` override them), and the first error of
/// reading them. Read for each use, because they may change while a process runs.
#[must_use]
pub fn system_roots() -> (RootCertStore, Option<rustls_native_certs::Error>) {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    (roots, native.errors.into_iter().next())
}

/// A TLS configuration that trusts `roots`; `None` when there are none.
#[must_use]
pub fn config(roots: RootCertStore) -> Option<Arc<ClientConfig>> {
    if roots.is_empty() {
        return None;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
    let verifier = Arc::new(ExplainingVerifier(verifier.expect("there are roots, and no revocation lists")));
    Some(with_verifier(provider, verifier))
}

/// A TLS configuration for HTTP/1.1. rustls calls this API dangerous because a verifier of ours may accept anything: each of
/// them accepts no more than rustls's.
pub(super) fn with_verifier(provider: Arc<CryptoProvider>, verifier: Arc<dyn ServerCertVerifier>) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has TLS 1.2 and 1.3");
    let mut config = config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// As `config`, for connections that may use HTTP/2.
#[must_use]
pub fn offer_http2(config: &ClientConfig) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.alpn_protocols.insert(0, HTTP2.to_vec());
    Arc::new(config)
}

/// HTTP/2 in ALPN.
pub(super) const HTTP2: &[u8] = b"h2";

/// rustls's own verifier with a better error for self-signed certificates: when a trusted issuer has the same name,
/// rustls reports only a bad signature. This happens where Debian's ssl-cert-snakeoil is among the trusted
/// certificates: in images its name is often `localhost`.
#[derive(Debug)]
struct ExplainingVerifier(Arc<WebPkiServerVerifier>);

/// A self-signed certificate that is not trusted.
#[derive(Debug, thiserror::Error)]
#[error("the certificate is self-signed")]
pub struct SelfSigned;

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
