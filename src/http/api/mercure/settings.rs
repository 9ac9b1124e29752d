//! How the operator has set Mercure up.

use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderValue;

use super::claims::ExpectedIssuer;
use crate::access::signed::SignedTokens;

/// Where a client of the protocol finds out what tokens it needs (RFC 9728).
pub const DISCOVERY_PATH: &str = "/.well-known/oauth-protected-resource/.well-known/mercure";

/// The settings, of the whole process.
#[derive(Debug)]
pub struct MercureSettings {
    /// The URL of the hub, and the issuer of tokens of dialect 1.
    pub expected: ExpectedIssuer,
    /// The keys of publishers' tokens; `None` when nobody may publish.
    pub publishers: Option<SignedTokens>,
    /// The keys of subscribers' tokens.
    pub subscribers: Option<SignedTokens>,
    /// Whether public updates may be read without a token.
    pub anonymous: bool,
    /// Whether those who may can see which subscriptions are active.
    pub subscriptions: bool,
    warned: AtomicBool,
}

/// Why a request is challenged, as RFC 6750 has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// It has no token.
    Missing,
    /// Its token is not valid.
    InvalidToken,
    /// Its token does not permit this.
    InsufficientScope,
}

impl MercureSettings {
    /// The settings.
    #[must_use]
    pub fn new(
        expected: ExpectedIssuer,
        publishers: Option<SignedTokens>,
        subscribers: Option<SignedTokens>,
        anonymous: bool,
        subscriptions: bool,
    ) -> Self {
        Self { expected, publishers, subscribers, anonymous, subscriptions, warned: AtomicBool::new(false) }
    }

    /// The methods of the hub's path, as in `Allow`.
    #[must_use]
    pub fn methods(&self) -> &'static str {
        match (self.publishers.is_some(), self.anonymous || self.subscribers.is_some()) {
            (true, true) => "GET, HEAD, POST, QUERY, OPTIONS",
            (true, false) => "POST, OPTIONS",
            (false, _) => "GET, HEAD, QUERY, OPTIONS",
        }
    }

    /// The value of `WWW-Authenticate`.
    ///
    /// # Panics
    /// Never: a URL is ASCII.
    #[must_use]
    pub fn challenge(&self, challenge: Challenge) -> HeaderValue {
        let error = match challenge {
            Challenge::Missing => "",
            Challenge::InvalidToken => "error=\"invalid_token\", ",
            Challenge::InsufficientScope => "error=\"insufficient_scope\", ",
        };
        let origin = self.expected.hub.origin().ascii_serialization();
        let text = format!("Bearer {error}resource_metadata=\"{origin}{DISCOVERY_PATH}\"");
        HeaderValue::from_str(&text).expect("a URL is ASCII")
    }

    /// Takes note of a token that never expires: the first one is told in the log.
    pub fn note_unending_token(&self) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!("a token of Mercure has no claim exp: whoever gets it may use it until its key is changed");
        }
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    #[test]
    fn a_challenge_says_what_is_wrong_and_where_to_ask() {
        let hub = Url::parse("https://hub.example:8443/.well-known/mercure").expect("a URL");
        let settings = MercureSettings::new(ExpectedIssuer { issuer: None, hub }, None, None, true, false);
        let metadata =
            "resource_metadata=\"https://hub.example:8443/.well-known/oauth-protected-resource/.well-known/mercure\"";
        for (challenge, want) in [
            (Challenge::Missing, format!("Bearer {metadata}")),
            (Challenge::InvalidToken, format!("Bearer error=\"invalid_token\", {metadata}")),
            (Challenge::InsufficientScope, format!("Bearer error=\"insufficient_scope\", {metadata}")),
        ] {
            assert_eq!(settings.challenge(challenge), want);
        }
        assert_eq!(settings.methods(), "GET, HEAD, QUERY, OPTIONS");
    }
}
