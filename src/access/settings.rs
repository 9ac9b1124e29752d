//! What an operator says about credentials, read and checked as text by the configuration.

use std::{path::PathBuf, time::Duration};

use super::Grant;

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct AccessSettings {
    /// Tokens that stand in the configuration.
    pub tokens: Vec<StaticToken>,
    /// Who may issue JWTs.
    pub issuers: Vec<IssuerSettings>,
    /// What anyone may do.
    pub anonymous: Grant,
    /// The file of credentials that are good no more.
    pub revoked: Option<PathBuf>,
    /// Difference of clocks that a JWT's times may have.
    pub leeway: Duration,
}

/// A token that stands in the configuration, as its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticToken {
    /// Whose it is: in stats, in the revoked list.
    pub name: String,
    /// SHA-256 of the token's bytes.
    pub sha256: [u8; 32],
    /// What it opens.
    pub grant: Grant,
}

/// Who may issue JWTs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerSettings {
    /// What the claim `iss` must be.
    pub issuer: String,
    /// What the claim `aud` must be, or hold.
    pub audience: String,
    /// The algorithms that its keys are for, by their JWA names; no other is ever tried.
    pub algorithms: Vec<String>,
    /// Its keys.
    pub keys: KeySource,
}

/// Where an issuer's keys are.
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
