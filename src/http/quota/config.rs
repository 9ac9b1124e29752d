//! What one address and one holder of a token may have: the operator's numbers, which a reload may change.

use std::num::NonZeroU32;

/// All limits by who somebody is. The default has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuotaConfig {
    /// For one client address.
    pub address: QuotaLimits,
    /// For one holder of a token.
    pub holder: QuotaLimits,
}

/// What one may have; `None` is no limit.
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
    /// Topics made an hour.
    pub topics: Option<NonZeroU32>,
    /// Bad credentials a second.
    pub bad_credentials: Option<NonZeroU32>,
}
