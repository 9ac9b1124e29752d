//! Floor 1, who may do what: a credential in, a [`Pass`] or a [`Refusal`] out.
//!
//! Nothing here knows HTTP. Nothing that an unverified token says is ever used: not for a URL, not for a line of the log,
//! only to be compared with what the operator has configured.
//!
//! | room | idea |
//! |---|---|
//! | this file | [`Access`]: all that an operator trusts, and the one judge |
//! | [`grant`] | what a credential opens, by topic patterns |
//! | [`pass`] | a credential that was found good |
//! | [`refusal`] | why one was not, in words for whoever sent it |
//! | [`settings`] | what the operator says |
//! | `tokens` | static tokens, by their hashes |

use std::sync::Arc;

use aws_lc_rs::digest;

pub mod grant;
pub mod pass;
pub mod refusal;
pub mod settings;
mod tokens;

pub use self::{
    grant::Grant,
    pass::{Credential, Pass},
    refusal::Refusal,
    settings::Settings,
};
use tokens::Tokens;

/// Longest credential that is looked at, in bytes. A JWT with a page of patterns has some 2 KiB, and a header line 8 KiB.
pub const MAX_CREDENTIAL_BYTES: usize = 8192;

/// All that an operator trusts. Shared by all cores; a reload makes another one.
#[derive(Debug)]
pub struct Access {
    tokens: Tokens,
    anonymous: Arc<Pass>,
    /// Whether no credential is configured: then there is nobody to tell apart.
    open: bool,
}

impl Access {
    /// What `settings` say. Reads the files that they name.
    ///
    /// # Errors
    /// Everything that is wrong with them, each after the key it is about.
    pub fn new(settings: Settings) -> Result<Self, Vec<(&'static str, String)>> {
        let open = settings.tokens.is_empty() && settings.issuers.is_empty() && settings.anonymous == Grant::default();
        let anonymous = if open { Pass::open() } else { Pass::anonymous(settings.anonymous) };
        Ok(Self { tokens: Tokens::new(settings.tokens), anonymous: Arc::new(anonymous), open })
    }

    /// Whether no credential is configured, so that whoever reaches the hub may do everything.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The pass of whoever sends no credential.
    #[must_use]
    pub fn anonymous(&self) -> &Arc<Pass> {
        &self.anonymous
    }

    /// Judges a credential at the time `now`, in seconds since 1970.
    ///
    /// # Errors
    /// Says what is wrong with it. A bad credential is never taken for none.
    pub fn judge(&self, token: &[u8], _now: u64) -> Result<Arc<Pass>, Refusal> {
        let digest = digest::digest(&digest::SHA256, token);
        let digest = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
        self.tokens.find(digest).ok_or(Refusal::Unknown)
    }

    /// Judges a pass of an earlier configuration by this one: the credential behind it may be revoked, its key gone, its
    /// grant another.
    ///
    /// # Errors
    /// Says why it is good no more.
    pub fn renew(&self, pass: &Arc<Pass>, _now: u64) -> Result<Arc<Pass>, Refusal> {
        match &pass.credential {
            Credential::Open | Credential::Anonymous => Ok(Arc::clone(&self.anonymous)),
            Credential::Token { sha256 } => self.tokens.find(sha256).ok_or(Refusal::Unknown),
            Credential::Jwt { .. } => Err(Refusal::Unknown),
        }
    }
}
