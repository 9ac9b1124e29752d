//! Quantiles of a duration.

use serde::Serialize;

/// Quantiles in milliseconds, since the process began.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct QuantilesMs {
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
}
