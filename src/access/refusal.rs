//! Why a credential was not taken, in words for whoever sent it.

use crate::event::Millis;

/// Why. `Display` says what to change. What an unverified token says is never repeated; what a verified one says is, cut
/// and escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is none of the static tokens, and no JWT.
    #[error("the token is not known here, and is no JWT; use one that this hub's operator has given out")]
    Unknown,
    /// It has the shape of a JWT, and nobody may issue one.
    #[error("the token is a JWT, and this hub takes none; its operator may configure access.issuers")]
    NoIssuers,
    /// More than [`MAX_CREDENTIAL_BYTES`](super::MAX_CREDENTIAL_BYTES).
    #[error("the token is longer than {} bytes; ask for one with fewer claims", super::MAX_CREDENTIAL_BYTES)]
    TooLong,
    /// It is no JWT, although it has three parts.
    #[error("the token is a broken JWT: its {part} {problem}; send it exactly as it was issued")]
    Malformed {
        /// header, claims or signature.
        part: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Its header wants what is not done here.
    #[error("the token's header has {0}, which this hub does not do; have it issued without")]
    Critical(&'static str),
    /// Its algorithm is not one that an issuer is configured for.
    #[error("the token is signed with an algorithm that is not accepted here; accepted: {accepted}")]
    Algorithm {
        /// The names, with commas.
        accepted: Box<str>,
    },
    /// It names a key that no issuer has.
    #[error(
        "the token names a key (kid) that none of this hub's issuers has; get a new token, or check that it comes \
         from an issuer configured here"
    )]
    UnknownKey,
    /// It may be good: the keys to tell are being fetched.
    #[error("the issuer's keys are being fetched; try again in a moment")]
    KeysUnavailable,
    /// No key of an issuer has made its signature.
    #[error("the token's signature is by no key that is trusted here; get a new token from an issuer configured here")]
    Signature,
    /// Its key is no longer trusted.
    #[error("the key that signed the token is not trusted here any more; get a new token")]
    KeyGone,
    /// It never ends.
    #[error("the token has no claim exp, so it would be good for ever; have it issued with one")]
    NoExpiry,
    /// It has ended.
    #[error("the token expired at {}; get a new one", rfc3339(*.at))]
    Expired {
        /// Its claim `exp`, in seconds since 1970.
        at: u64,
    },
    /// It has not begun.
    #[error("the token is not good before {}; if that is past, one of the clocks is wrong", rfc3339(*.from))]
    NotYet {
        /// Its claim `nbf`, in seconds since 1970.
        from: u64,
    },
    /// Another issuer than the owner of the key.
    #[error("the token's claim iss must be {wanted:?}, the issuer whose key signed it")]
    Issuer {
        /// What it must be.
        wanted: Box<str>,
    },
    /// It is for somebody else.
    #[error("the token's claim aud must be {wanted:?}, or hold it; have it issued for this hub")]
    Audience {
        /// What it must be, or hold.
        wanted: Box<str>,
    },
    /// A claim that is not what it must be.
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
    /// Whether trying again with the same credential may soon help, so that an EventSource is told to come back. A token
    /// that is not good yet may be so for years: whoever has it should know.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::KeysUnavailable)
    }
}

/// Whole seconds, as a claim has them.
fn rfc3339(seconds: u64) -> String {
    Millis(seconds.saturating_mul(1000)).to_string().replace(".000Z", "Z")
}

/// Characters of a claim that are repeated at most: a long topic still shows where it goes wrong.
const MAX_REPEATED_CHARS: usize = 64;

/// What a verified token says, fit for a line: in quotes, escaped and cut.
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
    fn what_ended_says_when() {
        let told = Refusal::Expired { at: 1_795_233_960 }.to_string();
        assert!(told.contains("2026-11-21T04:06:00Z"), "{told}");
        assert!(Refusal::NotYet { from: u64::MAX }.to_string().contains("9999"), "no clock goes further");
    }

    #[test]
    fn what_is_repeated_is_escaped_and_cut() {
        assert_eq!(quoted("a\r\nb\u{202e}"), r#""a\r\nb\u{202e}""#);
        assert_eq!(quoted(&"ä".repeat(64)), format!("\"{}\"", "ä".repeat(64)));
        assert_eq!(quoted(&"ä".repeat(65)), format!("\"{}\" and more", "ä".repeat(64)));
    }

    #[test]
    fn only_what_passes_by_itself_is_worth_another_try() {
        assert!(Refusal::KeysUnavailable.is_transient());
        assert!(!Refusal::Signature.is_transient() && !Refusal::Expired { at: 1 }.is_transient());
    }
}
