//! Why a credential was refused, in words for the client.

use crate::event::Millis;

/// Longest accepted credential, in bytes: the usual limit of a header line. A JWT with many patterns has some 2 KiB.
pub const MAX_CREDENTIAL_BYTES: usize = 8192;

/// Why a credential was refused. `Display` says what to change. The text of an unverified token is never repeated; that
/// of a verified one is escaped and cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is neither a known static token nor a JWT.
    #[error("the token is neither a static token of this hub nor a JWT; use one that its operator has issued")]
    Unknown,
    /// It has the shape of a JWT, but no issuer is configured.
    #[error("the token is a JWT, but this hub accepts none, because access.issuers is not configured")]
    NoIssuers,
    /// It is longer than [`MAX_CREDENTIAL_BYTES`].
    #[error("the token is longer than {} bytes; ask for one with fewer claims", MAX_CREDENTIAL_BYTES)]
    TooLong,
    /// It has three parts, but is not a valid JWT.
    #[error("the token is a malformed JWT: its {part} {problem}; send it exactly as it was issued")]
    Malformed {
        /// text, header, claims or signature.
        part: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Its header requires an extension that is not supported.
    #[error("the token's header has {0}, which this hub does not support; get one without it")]
    Critical(&'static str),
    /// No configured issuer signs with its algorithm.
    #[error("the token is signed with an algorithm that is not accepted here; accepted: {accepted}")]
    Algorithm {
        /// The accepted names, separated by commas.
        accepted: Box<str>,
    },
    /// It names a key that no issuer has.
    #[error(
        "the token names a key (kid) that none of this hub's issuers has; get a new token, or check that it comes \
         from an issuer configured here"
    )]
    UnknownKey,
    /// It cannot be verified yet: the issuer's keys are being fetched.
    #[error("the issuer's keys are being fetched; try again in a moment")]
    KeysUnavailable,
    /// No trusted key signed it.
    #[error("no key that this hub trusts signed the token; get a new one from an issuer that is configured here")]
    Signature,
    /// The key that signed it is no longer trusted.
    #[error("this hub no longer trusts the key that signed the token; get a new one")]
    KeyGone,
    /// It has no expiry.
    #[error("the token has no claim exp and would never expire; get one that has it")]
    NoExpiry,
    /// It has expired.
    #[error("the token expired at {}; get a new one", rfc3339(*.at))]
    Expired {
        /// Its claim `exp`, in seconds since 1970.
        at: u64,
    },
    /// It is not valid yet.
    #[error("the token is not valid before {}; if that time has passed, one of the clocks is wrong", rfc3339(*.from))]
    NotYet {
        /// Its claim `nbf`, in seconds since 1970.
        from: u64,
    },
    /// It names another issuer than the one whose key signed it.
    #[error("the token's claim iss must be {expected:?}, the issuer whose key signed it")]
    Issuer {
        /// The required issuer.
        expected: Box<str>,
    },
    /// It is for another audience.
    #[error("the token's claim aud must be {expected:?}, or a list that contains it; get one for this hub")]
    Audience {
        /// The required audience.
        expected: Box<str>,
    },
    /// A claim has a wrong type or value.
    #[error("the token's claim {claim} {problem}")]
    Claim {
        /// Its name; that of one inside `gapless` is cut and escaped.
        claim: Box<str>,
        /// What is wrong with it.
        problem: Box<str>,
    },
    /// The operator has revoked it.
    #[error("the token has been revoked by this hub's operator; get a new one")]
    Revoked,
}

impl Refusal {
    /// Whether a retry with the same credential may soon succeed, so that an EventSource should reconnect. A token that
    /// is not valid yet is not transient: that may last for years.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::KeysUnavailable)
    }
}

/// A time in whole seconds since 1970, as in a claim.
fn rfc3339(seconds: u64) -> String {
    Millis(seconds.saturating_mul(1000)).to_string().replace(".000Z", "Z")
}

/// Most characters of a claim that a message repeats: enough to recognise a long topic.
const MAX_REPEATED_CHARS: usize = 64;

/// Text of a verified token for a message: in quotes, escaped and cut.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_REPEATED_CHARS) {
        None => format!("{text:?}"),
        Some((cut, _)) => format!("{:?} and more", &text[..cut]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expired_token_is_refused_with_its_time() {
        let message = Refusal::Expired { at: 1_795_233_960 }.to_string();
        assert!(message.contains("2026-11-21T04:06:00Z"), "{message}");
        assert!(
            Refusal::NotYet { from: u64::MAX }.to_string().contains("9999"),
            "the latest time that RFC 3339 can write"
        );
    }

    #[test]
    fn repeated_text_is_escaped_and_cut() {
        assert_eq!(quoted("a\r\nb\u{202e}"), r#""a\r\nb\u{202e}""#);
        assert_eq!(quoted(&"ä".repeat(64)), format!("\"{}\"", "ä".repeat(64)));
        assert_eq!(quoted(&"ä".repeat(65)), format!("\"{}\" and more", "ä".repeat(64)));
    }

    #[test]
    fn only_missing_keys_are_transient() {
        assert!(Refusal::KeysUnavailable.is_transient());
        assert!(!Refusal::Signature.is_transient() && !Refusal::Expired { at: 1 }.is_transient());
    }
}
