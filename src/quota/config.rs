//! The configured limits of one address and of one holder of a token. A reload may change them.

use std::num::NonZeroU32;

/// The limits of both kinds of accounts. The default has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuotaConfig {
    /// Of one client address.
    pub address: QuotaLimits,
    /// Of one holder of a token.
    pub holder: QuotaLimits,
}

/// The limits of one account; `None` is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuotaLimits {
    /// Connections at once.
    pub connections: Option<u64>,
    /// Streams at once.
    pub streams: Option<u64>,
    /// Events published a second.
    pub events: Option<NonZeroU32>,
    /// Bytes of their data a second.
    pub bytes: Option<NonZeroU32>,
    /// Topics created an hour.
    pub topics: Option<NonZeroU32>,
    /// Runs of the relay at once.
    pub runs: Option<u64>,
    /// Runs of the relay begun a minute.
    pub runs_per_minute: Option<NonZeroU32>,
    /// Tokens a day that they use.
    pub tokens_per_day: Option<NonZeroU32>,
    /// Invalid credentials a second.
    pub bad_credentials: Option<NonZeroU32>,
}
