//! The settings of credentials. The configuration has parsed them, and has checked their syntax.

use std::{path::PathBuf, time::Duration};

use super::Grant;

/// All settings of this module.
#[derive(Debug, Clone, Default)]
pub struct AccessSettings {
    /// Static tokens.
    pub tokens: Vec<StaticToken>,
    /// Trusted issuers of JWTs.
    pub issuers: Vec<IssuerSettings>,
    /// Permissions of requests without a credential.
    pub anonymous: Grant,
    /// The file that lists revoked credentials.
    pub revoked: Option<PathBuf>,
    /// Tolerated clock difference when a JWT's `exp` and `nbf` are checked.
    pub leeway: Duration,
}

/// A static token, known by its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticToken {
    /// The holder's name, in stats and in the revoked list.
    pub name: String,
    /// SHA-256 of the token's bytes.
    pub sha256: [u8; 32],
    /// Its permissions.
    pub grant: Grant,
}

/// A trusted issuer of JWTs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerSettings {
    /// The required claim `iss`.
    pub issuer: String,
    /// The required claim `aud`: the audience itself, or a list that contains it.
    pub audience: String,
    /// The algorithms that its tokens may be signed with, by their JWA names. No other is accepted.
    pub algorithms: Vec<String>,
    /// Its keys.
    pub keys: KeySource,
}

/// Where an issuer's keys come from.
#[derive(Clone, PartialEq, Eq)]
pub enum KeySource {
    /// In the configuration: a secret for HS, or PEM.
    Inline(String),
    /// In a file: PEM, a JWK set, or the bytes of a secret for HS.
    File(PathBuf),
    /// At a URL, as a JWK set.
    Jwks(String),
}

/// Never shows a secret.
impl std::fmt::Debug for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("Inline"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Jwks(url) => f.debug_tuple("Jwks").field(url).finish(),
        }
    }
}
