//! Floor 1, who may do what: a credential in, a [`Principal`] or a [`Refusal`] out.
//!
//! Nothing here knows HTTP. Nothing that an unverified token says is ever used: not for a URL, not for a line of the log,
//! only to be compared with what the operator has configured.
//!
//! | room | idea |
//! |---|---|
//! | this file | [`Access`]: all that an operator trusts, and the one judge |
//! | [`grant`] | what a credential opens, by topic patterns |
//! | [`principal`] | a credential that was found good |
//! | [`refusal`] | why one was not, in words for whoever sent it |
//! | [`settings`] | what the operator says |
//! | [`mint`] | tokens of one's own, for `gapless token` |
//! | `tokens` | static tokens, by their hashes |
//! | `issuers` | whose JWTs are believed, and which key signed one |
//! | `jwt`, `claims`, `json` | a JWT before and after its signature is known to be good |
//! | `algorithms`, `keys`, `key_text`, `jwk` | what a key is, and how one is written |
//! | `jwks` | keys at a URL |
//! | `revoked` | credentials that are good no more |

use std::{io::Read, path::Path, sync::Arc};

use aws_lc_rs::digest;

mod algorithms;
mod claims;
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
mod revoked;
pub mod settings;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tokens;

pub use self::{
    grant::Grant,
    principal::{CredentialKind, Principal},
    refusal::Refusal,
    settings::AccessSettings,
};
use issuers::Issuers;
use jwks::{Timing, fetch::FetchConfig};
use revoked::Revoked;
use tokens::Tokens;

/// Longest credential that is looked at, in bytes. A JWT with a page of patterns has some 2 KiB, and a header line 8 KiB.
pub const MAX_CREDENTIAL_BYTES: usize = 8192;

/// All that an operator trusts. Shared by all cores; a reload makes another one.
#[derive(Debug)]
pub struct Access {
    tokens: Tokens,
    issuers: Issuers,
    revoked: Revoked,
    anonymous: Arc<Principal>,
    operator: Arc<Principal>,
    /// Whether no credential is configured: then there is nobody to tell apart.
    open: bool,
    leeway: u64,
}

/// All that there is to say about a credential that somebody has verified.
#[derive(Debug)]
pub struct Findings {
    /// Whose credential it is, as [`Principal::holder`].
    pub holder: Option<Box<str>>,
    /// Who has issued it; `None` of a static token.
    pub issuer: Option<Box<str>>,
    /// What it would open if nothing were wrong.
    pub grant: Grant,
    /// When it is good no more, in seconds since 1970, leeway included.
    pub expires: Option<u64>,
    /// How the revoked list names it.
    pub sha256: [u8; 32],
    /// Everything that is wrong with it: it opens nothing unless this is empty.
    pub wrong: Vec<Refusal>,
}

impl Access {
    /// What `settings` say. Reads the files that they name; keys at a URL are fetched by [`watch`](Self::watch).
    ///
    /// # Errors
    /// Everything that is wrong with them, each after the key it is about.
    pub fn new(settings: AccessSettings) -> Result<Self, Vec<(&'static str, String)>> {
        Self::with(settings, Timing::default(), &FetchConfig::default())
    }

    fn with(
        settings: AccessSettings,
        timing: Timing,
        manner: &FetchConfig,
    ) -> Result<Self, Vec<(&'static str, String)>> {
        let mut mistakes = Vec::new();
        let open = settings.tokens.is_empty() && settings.issuers.is_empty() && settings.anonymous == Grant::default();
        let anonymous = if open { Principal::open() } else { Principal::anonymous(settings.anonymous) };
        let wrong = |problem| mistakes.push(("access.issuers", problem));
        let issuers = Issuers::new(settings.issuers, timing, manner, wrong);
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

    /// Whether no credential is configured, so that whoever reaches the hub may do everything.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The pass of whoever sends no credential.
    #[must_use]
    pub fn anonymous(&self) -> &Arc<Principal> {
        &self.anonymous
    }

    /// The pass of whoever reaches the operators' own address on the loopback.
    #[must_use]
    pub fn operator(&self) -> &Arc<Principal> {
        &self.operator
    }

    /// Judges a credential at the time `now`, in seconds since 1970. Never waits. What is cheap to see is looked at first, and
    /// no signature is checked of a token that cannot be good.
    ///
    /// # Errors
    /// Says what is wrong with it. A bad credential is never taken for none.
    pub fn authenticate(&self, token: &[u8], now: u64) -> Result<Arc<Principal>, Refusal> {
        if token.len() > MAX_CREDENTIAL_BYTES {
            return Err(Refusal::TooLong);
        }
        let hash = sha256(token);
        if let Some(pass) = self.tokens.find(&hash) {
            return if self.revoked.token(pass.holder.as_deref(), &hash) { Err(Refusal::Revoked) } else { Ok(pass) };
        }
        let (verified, sha256) = self.verify(token, now)?;
        let issuers::Verified { by, seal, claims } = verified;
        if let Some(refusal) = claims.wrong.into_iter().next() {
            return Err(refusal);
        }
        Ok(Arc::new(Principal {
            holder: Some(principal::holder(claims.subject.as_deref(), &by.issuer)),
            grant: claims.grant,
            expires: Some(claims.expires),
            credential: CredentialKind::Jwt { key: seal, sha256, id: claims.id, subject: claims.subject },
        }))
    }

    /// Judges a pass of an earlier configuration, or of earlier keys, by this one: the credential behind it may be revoked,
    /// its key gone, its grant another.
    ///
    /// # Errors
    /// Says why it is good no more. With [`Refusal::KeysUnavailable`] it may still be: judge it again when `watch` says that
    /// keys have changed.
    pub fn renew(&self, pass: &Arc<Principal>, now: u64) -> Result<Arc<Principal>, Refusal> {
        match &pass.credential {
            CredentialKind::Open | CredentialKind::Anonymous => Ok(Arc::clone(&self.anonymous)),
            CredentialKind::Operator => Ok(Arc::clone(&self.operator)),
            CredentialKind::Token { sha256 } => {
                let pass = self.tokens.find(sha256).ok_or(Refusal::Unknown)?;
                if self.revoked.token(pass.holder.as_deref(), sha256) { Err(Refusal::Revoked) } else { Ok(pass) }
            }
            CredentialKind::Jwt { key, sha256, id, subject } => {
                if let Some(at) = pass.expires.filter(|expires| *expires <= now) {
                    return Err(Refusal::Expired { at: at.saturating_sub(self.leeway) });
                }
                if self.revoked.jwt(sha256, id.as_deref(), subject.as_deref()) {
                    return Err(Refusal::Revoked);
                }
                match self.issuers.still_has(key) {
                    Some(true) => Ok(Arc::clone(pass)),
                    Some(false) => Err(Refusal::KeyGone),
                    None => Err(Refusal::KeysUnavailable),
                }
            }
        }
    }

    /// Keeps the keys fresh that are at URLs, in threads of their own that end with this. `changed` is called, by one of
    /// them, when the keys of an issuer are others than before: what was judged is to be judged again.
    #[expect(clippy::needless_pass_by_value, reason = "whoever wants to be told gives it away")]
    pub fn watch(&self, changed: Arc<dyn Fn() + Send + Sync>) {
        for keyring in self.issuers.keyrings() {
            keyring.watch(Arc::clone(&changed));
        }
    }

    /// Takes over the keys that `older` has fetched for issuers that are here, too, so that a reload refuses nobody while they
    /// are fetched again.
    pub fn adopt(&self, older: &Self) {
        self.issuers.adopt(&older.issuers);
    }

    /// Fetches the keys that are at URLs, once. Waits for up to ten seconds each.
    ///
    /// # Errors
    /// For each that could not be had, why.
    pub fn fetch(&self) -> Result<(), Vec<String>> {
        let problems: Vec<String> = self.issuers.keyrings().filter_map(|keyring| keyring.refresh().err()).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// Judges a credential as [`authenticate`](Self::authenticate) does, and tells everything instead of the first thing that is wrong.
    ///
    /// # Errors
    /// When it is not known who has made it: then nothing that it says is worth telling.
    pub fn explain(&self, token: &[u8], now: u64) -> Result<Findings, Refusal> {
        if token.len() > MAX_CREDENTIAL_BYTES {
            return Err(Refusal::TooLong);
        }
        let hash = sha256(token);
        if let Some(pass) = self.tokens.find(&hash) {
            let revoked = self.revoked.token(pass.holder.as_deref(), &hash);
            let (holder, grant) = (pass.holder.clone(), pass.grant.clone());
            let wrong = revoked.then_some(Refusal::Revoked).into_iter().collect();
            return Ok(Findings { holder, issuer: None, grant, expires: None, sha256: hash, wrong });
        }
        let (issuers::Verified { by, claims, .. }, sha256) = self.verify(token, now)?;
        Ok(Findings {
            holder: Some(principal::holder(claims.subject.as_deref(), &by.issuer)),
            issuer: Some(by.issuer.clone()),
            grant: claims.grant,
            expires: (claims.expires > 0).then_some(claims.expires),
            sha256,
            wrong: claims.wrong,
        })
    }

    /// A JWT whose signature is good, and the hash that the revoked list may name it by.
    fn verify(&self, token: &[u8], now: u64) -> Result<(issuers::Verified<'_>, [u8; 32]), Refusal> {
        if !jwt::looks_like_one(token) {
            return Err(Refusal::Unknown);
        }
        if self.issuers.is_empty() {
            return Err(Refusal::NoIssuers);
        }
        let jwt = jwt::parse(token)?;
        let mut verified = self.issuers.verify(&jwt, self.leeway, now)?;
        let (hash, claims) = (sha256(jwt::message(token)), &mut verified.claims);
        if self.revoked.jwt(&hash, claims.id.as_deref(), claims.subject.as_deref()) {
            claims.wrong.insert(0, Refusal::Revoked);
        }
        Ok((verified, hash))
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        self.issuers.keyrings().for_each(|keyring| keyring.close());
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest::digest(&digest::SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// A file of at most `most` bytes.
fn read_file(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)).map_err(told)?;
    if bytes.len() as u64 > most {
        return Err(format!("{} has more than {most} bytes; is it the right file?", path.display()));
    }
    Ok(bytes)
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("memory");
        text
    })
}

/// Reads 64 hexadecimal digits.
pub fn from_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let bytes: Option<Vec<u8>> = (0..32).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()).collect();
    bytes?.try_into().ok()
}
