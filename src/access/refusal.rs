//! Why a credential was not taken, in words for whoever sent it.

/// Why. `Display` says what to change; it never repeats what an unverified token says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is none of the static tokens, and no JWT.
    #[error("the token is not known here, and is no JWT; use one that this hub's operator has given out")]
    Unknown,
    /// It may be good: the keys to tell are being fetched.
    #[error("the issuer's keys are being fetched; try again in a moment")]
    KeysUnavailable,
}

impl Refusal {
    /// Whether trying again with the same credential may help.
    #[must_use]
    pub fn passes(&self) -> bool {
        matches!(self, Self::KeysUnavailable)
    }
}
