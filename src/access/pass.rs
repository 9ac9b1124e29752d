//! A credential that was found good.

use super::Grant;

/// Who somebody is and what that opens. Made by [`Access`](super::Access) alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// Whose credential it is, of at most [`MAX_HOLDER_BYTES`]: the token's name, or the JWT's `sub` (else its issuer). `None`
    /// for whoever sent none. Limits, stats and Idempotency-Keys go by it; two credentials of one holder share them.
    pub holder: Option<Box<str>>,
    /// What it opens.
    pub grant: Grant,
    /// When it is good no more, in seconds since 1970, the configured leeway included.
    pub expires: Option<u64>,
    /// What it was.
    pub credential: Credential,
}

/// Bytes of a holder's name at most; a longer `sub` is cut and ends in a hash of the whole.
pub const MAX_HOLDER_BYTES: usize = 128;

/// What was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// Nothing, and nothing was asked for.
    Open,
    /// Nothing.
    Anonymous,
    /// A static token.
    Token {
        /// Its hash.
        sha256: [u8; 32],
    },
    /// A JWT.
    Jwt {
        /// A fingerprint of the key that signed it, its issuer and its audience: gone with any of them.
        key: [u8; 32],
        /// Its hash, as the revoked list may name it.
        sha256: [u8; 32],
        /// The claim `jti`.
        id: Option<Box<str>>,
        /// The claim `sub`.
        subject: Option<Box<str>>,
    },
}

impl Pass {
    /// Of whoever reaches a hub that has no credentials configured.
    #[must_use]
    pub(super) fn open() -> Self {
        Self { holder: None, grant: Grant::everything(), expires: None, credential: Credential::Open }
    }

    /// Of whoever sends no credential.
    #[must_use]
    pub(super) fn anonymous(grant: Grant) -> Self {
        Self { holder: None, grant, expires: None, credential: Credential::Anonymous }
    }
}
