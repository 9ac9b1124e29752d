//! Messages for the errors of verification.

use std::fmt::Write as _;

use rustls::{AlertDescription, CertificateError, Error, pki_types::UnixTime};

use crate::{
    client::{pinned::OtherCertificate, trust::SelfSigned},
    event::time::Millis,
};

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
        CertificateError::Other(other) if other.0.is::<OtherCertificate>() => {
            "it has another certificate than the file of tls.cert: it serves with the one that it has loaded; its log says why \
             it has not loaded the other one"
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
