//! A credential that was found good.

use super::Grant;

/// Who somebody is and what that opens. Made by [`Access`](super::Access) alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Whose credential it is, of at most [`MAX_HOLDER_BYTES`]: the token's name, or the JWT's `sub` and issuer. `None` for
    /// whoever sent none. Limits, stats and Idempotency-Keys go by it; two credentials of one holder share them.
    pub holder: Option<Box<str>>,
    /// What it opens.
    pub grant: Grant,
    /// When it is good no more, in seconds since 1970, the configured leeway included.
    pub expires: Option<u64>,
    /// What it was.
    pub credential: CredentialKind,
}

/// Bytes of a holder's name at most; a longer one is cut and ends in a hash of the whole.
pub const MAX_HOLDER_BYTES: usize = 128;

/// What was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialKind {
    /// Nothing, and nothing was asked for.
    Open,
    /// Nothing, at the operators' own address.
    Operator,
    /// Nothing.
    Anonymous,
    /// A static token.
    Token {
        /// Its hash.
        sha256: [u8; 32],
    },
    /// A JWT.
    Jwt {
        /// A fingerprint of the key that signed it, the algorithm, the issuer and the audience: gone with any of them.
        key: [u8; 32],
        /// SHA-256 of all before its last dot, as the revoked list may name it.
        sha256: [u8; 32],
        /// The claim `jti`.
        id: Option<Box<str>>,
        /// The claim `sub`.
        subject: Option<Box<str>>,
    },
}

/// What the holder of a JWT goes by: `ann of https://login.example`, or without a subject `of https://login.example`. Neither
/// issuers nor static tokens' names have white space, so no two holders are called alike.
pub(super) fn holder(subject: Option<&str>, issuer: &str) -> Box<str> {
    match subject {
        Some(subject) => bounded(&format!("{subject} of {issuer}")),
        None => bounded(&format!("of {issuer}")),
    }
}

/// `text`, or its beginning and a hash of it all.
fn bounded(text: &str) -> Box<str> {
    /// Of the hash, as hexadecimal digits, after a `~`: 64 bits, far more than there are holders.
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
    /// Of whoever reaches a hub that has no credentials configured.
    #[must_use]
    pub(super) fn open() -> Self {
        Self { holder: None, grant: Grant::everything(), expires: None, credential: CredentialKind::Open }
    }

    /// Of whoever reaches the operators' own address on the loopback.
    #[must_use]
    pub(super) fn operator() -> Self {
        let grant = Grant { admin: true, ..Grant::default() };
        Self { holder: None, grant, expires: None, credential: CredentialKind::Operator }
    }

    /// Of whoever sends no credential.
    #[must_use]
    pub(super) fn anonymous(grant: Grant) -> Self {
        Self { holder: None, grant, expires: None, credential: CredentialKind::Anonymous }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_and_still_its_own() {
        let (longest, beyond) = ("ä".repeat(64), "ä".repeat(65));
        assert_eq!(&*bounded(&longest), longest);
        let (one, other) = (bounded(&beyond), bounded(&format!("{}ö", "ä".repeat(64))));
        assert!(one.len() <= MAX_HOLDER_BYTES && other.len() <= MAX_HOLDER_BYTES);
        assert!(one != other && one.starts_with("ää"), "{one} {other}");
    }
}
