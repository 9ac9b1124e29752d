//! Floor 1, authentication and authorization: a credential in, a [`Principal`] or a [`Refusal`] out.
//!
//! This module does not depend on HTTP. The content of an unverified token is only compared with the configuration: it
//! is never used as a URL and never logged.
//!
//! | module | idea |
//! |---|---|
//! | this file | [`Access`]: the trusted tokens and issuers; authenticates credentials |
//! | [`grant`] | the permissions of a credential, by topic patterns |
//! | [`relay_grant`] | the permission to use a provider of the relay |
//! | [`principal`] | the identity and permissions of an authenticated request |
//! | [`refusal`] | why a credential was refused, in words for the client |
//! | [`settings`] | the configuration of this module |
//! | [`mint`] | signs tokens, for `gapless token` |
//! | [`signed`] | tokens of another protocol, with keys and claims of its own |
//! | `tokens` | static tokens, by their hashes |
//! | `issuers` | trusted JWT issuers; verifies a JWT's signature |
//! | `jwt`, `claims`, `json` | a JWT's header, its claims, and strict JSON parsing |
//! | `algorithms`, `keys`, `key_text`, `jwk` | signature algorithms, keys, and the formats of keys |
//! | `jwks` | JWK sets at a URL |
//! | `digest`, `file` | hashes and hexadecimal digits; reading a file of bounded size |
//! | `revoked` | the list of revoked credentials |

use std::sync::Arc;

mod algorithms;
mod claims;
mod digest;
mod file;
pub mod grant;
mod issuers;
mod json;
mod jwk;
mod jwks;
mod jwt;
mod key_text;
mod keys;
pub mod mint;
pub mod principal;
pub mod refusal;
pub mod relay_grant;
mod revoked;
pub mod settings;
pub mod signed;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tokens;

pub(crate) use self::{digest::sha256, file::read_file, issuers::MAX_FILE_BYTES as MAX_KEY_FILE_BYTES};
pub use self::{
    digest::{from_hex, hex},
    grant::Grant,
    principal::{CredentialKind, Principal},
    refusal::{MAX_CREDENTIAL_BYTES, Refusal},
    relay_grant::RelayGrant,
    settings::AccessSettings,
    signed::TokenIdentity,
};
use issuers::Issuers;
use jwks::{Timing, fetch::FetchConfig};
use revoked::Revoked;
use tokens::Tokens;

/// The trusted tokens and issuers. Shared by all shards; a reload builds a new one.
#[derive(Debug)]
pub struct Access {
    tokens: Tokens,
    issuers: Issuers,
    revoked: Revoked,
    anonymous: Arc<Principal>,
    operator: Arc<Principal>,
    /// Whether no credential is configured: then every request may do everything.
    open: bool,
    /// Tolerated clock difference, in seconds.
    leeway: u64,
}

/// A full report on a credential whose signature or hash was verified.
#[derive(Debug)]
pub struct Findings {
    /// The holder, as [`Principal::holder`].
    pub holder: Option<Box<str>>,
    /// The issuer; `None` for a static token.
    pub issuer: Option<Box<str>>,
    /// The permissions that it would have if `refusals` were empty.
    pub grant: Grant,
    /// When it expires, in seconds since 1970, leeway included. `None` for a static token.
    pub expires: Option<u64>,
    /// Its hash in the revoked list.
    pub sha256: [u8; 32],
    /// Everything that is wrong with it. It is refused unless this is empty.
    pub refusals: Vec<Refusal>,
}

impl Access {
    /// Builds from `settings`. Reads the files that they name; JWK sets at a URL are fetched by [`watch`](Self::watch).
    ///
    /// # Errors
    /// All mistakes in the settings, each as (configuration key, problem).
    pub fn new(settings: AccessSettings) -> Result<Self, Vec<(&'static str, String)>> {
        Self::with(settings, Timing::default(), &FetchConfig::default())
    }

    fn with(
        settings: AccessSettings,
        timing: Timing,
        fetch_config: &FetchConfig,
    ) -> Result<Self, Vec<(&'static str, String)>> {
        let mut mistakes = Vec::new();
        let open = settings.tokens.is_empty() && settings.issuers.is_empty() && settings.anonymous == Grant::default();
        let anonymous = if open { Principal::open() } else { Principal::anonymous(settings.anonymous) };
        let report = |problem| mistakes.push(("access.issuers", problem));
        let issuers = Issuers::new(settings.issuers, timing, fetch_config, report);
        let revoked = settings.revoked.as_deref().map(Revoked::read).transpose().unwrap_or_else(|problems| {
            mistakes.extend(problems.into_iter().map(|problem| ("access.revoked", problem)));
            None
        });
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Self {
            tokens: Tokens::new(settings.tokens),
            issuers,
            revoked: revoked.unwrap_or_default(),
            anonymous: Arc::new(anonymous),
            operator: Arc::new(Principal::operator()),
            open,
            leeway: settings.leeway.as_secs(),
        })
    }

    /// Whether no credential is configured, so that every request may do everything.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The principal of a request without a credential.
    #[must_use]
    pub fn anonymous(&self) -> &Arc<Principal> {
        &self.anonymous
    }

    /// The principal of a request without a credential on the operators' loopback address.
    #[must_use]
    pub fn operator(&self) -> &Arc<Principal> {
        &self.operator
    }

    /// Authenticates a credential at the time `now`, in seconds since 1970. Never blocks. Cheap checks come first, and
    /// the signature of a token that must be refused anyway is not verified.
    ///
    /// # Errors
    /// The first reason to refuse it. A bad credential is an error, never treated as absent.
    pub fn authenticate(&self, token: &[u8], now: u64) -> Result<Arc<Principal>, Refusal> {
        if token.len() > MAX_CREDENTIAL_BYTES {
            return Err(Refusal::TooLong);
        }
        let hash = sha256(token);
        if let Some(principal) = self.tokens.find(&hash) {
            return if self.revoked.token(principal.holder.as_deref(), &hash) {
                Err(Refusal::Revoked)
            } else {
                Ok(principal)
            };
        }
        let (verified, sha256) = self.verify(token, now)?;
        let issuers::Verified { issuer, key_fingerprint, claims } = verified;
        if let Some(refusal) = claims.refusals.into_iter().next() {
            return Err(refusal);
        }
        Ok(Arc::new(Principal {
            holder: Some(principal::holder(claims.subject.as_deref(), &issuer.issuer)),
            grant: claims.grant,
            expires: Some(claims.expires),
            credential: CredentialKind::Jwt { key: key_fingerprint, sha256, id: claims.id, subject: claims.subject },
        }))
    }

    /// Checks a principal that an earlier configuration, or earlier keys, authenticated: its credential may have been
    /// revoked, its key removed, its grant changed. Returns the principal to use from now on.
    ///
    /// # Errors
    /// Why it is not valid any more. [`Refusal::KeysUnavailable`] is not final: try again when `watch` reports a change
    /// of keys.
    pub fn renew(&self, principal: &Arc<Principal>, now: u64) -> Result<Arc<Principal>, Refusal> {
        match &principal.credential {
            CredentialKind::Open | CredentialKind::Anonymous => Ok(Arc::clone(&self.anonymous)),
            CredentialKind::Operator => Ok(Arc::clone(&self.operator)),
            CredentialKind::Token { sha256 } => {
                let principal = self.tokens.find(sha256).ok_or(Refusal::Unknown)?;
                if self.revoked.token(principal.holder.as_deref(), sha256) {
                    Err(Refusal::Revoked)
                } else {
                    Ok(principal)
                }
            }
            CredentialKind::Protocol(token) => {
                if let Some(at) = principal.expires.filter(|expires| *expires <= now) {
                    return Err(Refusal::Expired { at: at.saturating_sub(self.leeway) });
                }
                match token {
                    Some(token) if self.is_revoked(token) => Err(Refusal::Revoked),
                    _ => Ok(Arc::clone(principal)),
                }
            }
            CredentialKind::Jwt { key, sha256, id, subject } => {
                if let Some(at) = principal.expires.filter(|expires| *expires <= now) {
                    return Err(Refusal::Expired { at: at.saturating_sub(self.leeway) });
                }
                if self.revoked.jwt(sha256, id.as_deref(), subject.as_deref()) {
                    return Err(Refusal::Revoked);
                }
                match self.issuers.has_key(key) {
                    Some(true) => Ok(Arc::clone(principal)),
                    Some(false) => Err(Refusal::KeyGone),
                    None => Err(Refusal::KeysUnavailable),
                }
            }
        }
    }

    /// Whether the operator has revoked this token of another protocol.
    #[must_use]
    pub fn is_revoked(&self, token: &TokenIdentity) -> bool {
        self.revoked.jwt(&token.sha256, token.id.as_deref(), token.subject.as_deref())
    }

    /// Tolerated clock difference, in seconds.
    #[must_use]
    pub fn leeway(&self) -> u64 {
        self.leeway
    }

    /// Refreshes the keys at URLs, on a thread for each issuer; the threads end when this is dropped. They call
    /// `changed` when the keys of an issuer have changed: then every principal must be renewed.
    #[expect(clippy::needless_pass_by_value, reason = "the caller hands the callback over")]
    pub fn watch(&self, changed: Arc<dyn Fn() + Send + Sync>) {
        for cache in self.issuers.caches() {
            cache.watch(Arc::clone(&changed));
        }
    }

    /// Copies the keys that `older` has fetched for the same issuers, so that a reload refuses no valid token while the
    /// keys are fetched again.
    pub fn copy_fetched_keys(&self, older: &Self) {
        self.issuers.copy_fetched_keys(&older.issuers);
    }

    /// Fetches the keys at URLs, once. Blocks for up to ten seconds for each.
    ///
    /// # Errors
    /// One message for each fetch that failed.
    pub fn fetch(&self) -> Result<(), Vec<String>> {
        let problems: Vec<String> = self.issuers.caches().filter_map(|cache| cache.refresh().err()).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// As [`authenticate`](Self::authenticate), but reports everything that is wrong instead of the first refusal.
    ///
    /// # Errors
    /// When its signature is not verified: then its claims cannot be trusted, and are not reported.
    pub fn explain(&self, token: &[u8], now: u64) -> Result<Findings, Refusal> {
        if token.len() > MAX_CREDENTIAL_BYTES {
            return Err(Refusal::TooLong);
        }
        let hash = sha256(token);
        if let Some(principal) = self.tokens.find(&hash) {
            let revoked = self.revoked.token(principal.holder.as_deref(), &hash);
            let (holder, grant) = (principal.holder.clone(), principal.grant.clone());
            let refusals = revoked.then_some(Refusal::Revoked).into_iter().collect();
            return Ok(Findings { holder, issuer: None, grant, expires: None, sha256: hash, refusals });
        }
        let (issuers::Verified { issuer, claims, .. }, sha256) = self.verify(token, now)?;
        Ok(Findings {
            holder: Some(principal::holder(claims.subject.as_deref(), &issuer.issuer)),
            issuer: Some(issuer.issuer.clone()),
            grant: claims.grant,
            expires: (claims.expires > 0).then_some(claims.expires),
            sha256,
            refusals: claims.refusals,
        })
    }

    /// Verifies a JWT's signature. Returns its claims, and its hash in the revoked list.
    fn verify(&self, token: &[u8], now: u64) -> Result<(issuers::Verified<'_>, [u8; 32]), Refusal> {
        if !jwt::has_three_parts(token) {
            return Err(Refusal::Unknown);
        }
        if self.issuers.is_empty() {
            return Err(Refusal::NoIssuers);
        }
        let jwt = jwt::parse(token)?;
        let mut verified = self.issuers.verify(&jwt, self.leeway, now)?;
        let (hash, claims) = (sha256(jwt::message(token)), &mut verified.claims);
        if self.revoked.jwt(&hash, claims.id.as_deref(), claims.subject.as_deref()) {
            claims.refusals.insert(0, Refusal::Revoked);
        }
        Ok((verified, hash))
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        self.issuers.caches().for_each(|cache| cache.close());
    }
}
