//! The identity and permissions of an authenticated request.

use super::{Grant, signed::TokenIdentity};

/// The holder of a credential, and its permissions. Created only by [`Access`](super::Access), and for tokens of another protocol by
/// [`Principal::of_protocol`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The holder's name, at most [`MAX_HOLDER_BYTES`]: the static token's name, or the JWT's `sub` and issuer. `None`
    /// without a credential. Limits, stats and Idempotency-Keys are kept by holder; two credentials of one holder share
    /// them.
    pub holder: Option<Box<str>>,
    /// Its permissions.
    pub grant: Grant,
    /// When it expires, in seconds since 1970, the configured leeway included.
    pub expires: Option<u64>,
    /// The kind of credential.
    pub credential: CredentialKind,
}

/// Longest name of a holder, in bytes. A longer one is cut, and ends in a hash of the whole name.
pub const MAX_HOLDER_BYTES: usize = 128;

/// The kind of credential that a request had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialKind {
    /// None, and the hub requires none.
    Open,
    /// None, at the operators' loopback address.
    Operator,
    /// None.
    Anonymous,
    /// A static token.
    Token {
        /// Its hash.
        sha256: [u8; 32],
    },
    /// That of another protocol, which has authenticated it by itself; `None` when it needs none.
    Protocol(Option<TokenIdentity>),
    /// A JWT.
    Jwt {
        /// A hash of the key that signed it, the algorithm, the issuer and the audience. When one of them is removed
        /// from the configuration, no key has this hash.
        key: [u8; 32],
        /// SHA-256 of the text before its last dot, as in the revoked list.
        sha256: [u8; 32],
        /// The claim `jti`.
        id: Option<Box<str>>,
        /// The claim `sub`.
        subject: Option<Box<str>>,
    },
}

/// The name of a JWT's holder: `ann of https://login.example`, or without a subject `of https://login.example`. Neither
/// issuers nor static tokens' names contain white space, so two holders never have the same name.
pub(super) fn holder(subject: Option<&str>, issuer: &str) -> Box<str> {
    match subject {
        Some(subject) => bounded(&format!("{subject} of {issuer}")),
        None => bounded(&format!("of {issuer}")),
    }
}

/// `text`, or its beginning and a hash of the whole.
fn bounded(text: &str) -> Box<str> {
    /// Bytes of the hash that are kept, written as hexadecimal digits after a `~`: 64 bits make a collision unlikely.
    const HASH_BYTES: usize = 8;
    if text.len() <= MAX_HOLDER_BYTES {
        return text.into();
    }
    let mut cut = MAX_HOLDER_BYTES - 1 - 2 * HASH_BYTES;
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    let hash = super::sha256(text.as_bytes());
    format!("{}~{}", &text[..cut], super::hex(&hash[..HASH_BYTES])).into()
}

impl Principal {
    /// For a request to a hub without configured credentials.
    #[must_use]
    pub(super) fn open() -> Self {
        Self { holder: None, grant: Grant::everything(), expires: None, credential: CredentialKind::Open }
    }

    /// For a request without a credential on the operators' loopback address.
    #[must_use]
    pub(super) fn operator() -> Self {
        let grant = Grant { admin: true, ..Grant::default() };
        Self { holder: None, grant, expires: None, credential: CredentialKind::Operator }
    }

    /// For a request of another protocol, which may do what `grant` says. `token` is that of the request, if it has one, and
    /// `expires` its end in seconds since 1970. `protocol` names it, and has white space, so that no issuer has its name.
    #[must_use]
    pub fn of_protocol(protocol: &str, grant: Grant, expires: Option<u64>, token: Option<TokenIdentity>) -> Self {
        debug_assert!(protocol.contains(' '), "an issuer could have the name {protocol}");
        let holder = token.as_ref().map(|token| holder(token.subject.as_deref(), protocol));
        Self { holder, grant, expires, credential: CredentialKind::Protocol(token) }
    }

    /// For a request without a credential.
    #[must_use]
    pub(super) fn anonymous(grant: Grant) -> Self {
        Self { holder: None, grant, expires: None, credential: CredentialKind::Anonymous }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_and_stays_unique() {
        let (longest, beyond) = ("ä".repeat(64), "ä".repeat(65));
        assert_eq!(&*bounded(&longest), longest);
        let (one, other) = (bounded(&beyond), bounded(&format!("{}ö", "ä".repeat(64))));
        assert!(one.len() <= MAX_HOLDER_BYTES && other.len() <= MAX_HOLDER_BYTES);
        assert!(one != other && one.starts_with("ää"), "{one} {other}");
    }
}
