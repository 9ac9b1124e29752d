//! The relay's statistics: a field of `GET /admin/stats`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::quantiles::QuantilesMs;
use crate::relay::Relay;

/// The relay's statistics. All are 0 or empty when no provider is configured. Names ending in `_total` count since the
/// process began.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RelayFigures {
    /// Runs that have not ended.
    pub running: u64,
    /// Requests that joined a run that existed, so that the provider was not asked again.
    pub joined_total: u64,
    /// QuantilesMs from the arrival of a provider's frame until it was durable.
    pub added_ms: QuantilesMs,
    /// By provider.
    pub providers: BTreeMap<String, ProviderFigures>,
}

/// The statistics of one provider.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ProviderFigures {
    /// Runs that ended, by ending.
    pub runs_total: BTreeMap<&'static str, u64>,
    /// Requests that the provider refused, by HTTP status.
    pub refused_total: BTreeMap<u16, u64>,
    /// Tokens of prompts.
    pub input_tokens_total: u64,
    /// Tokens of answers.
    pub output_tokens_total: u64,
}

impl RelayFigures {
    /// The current statistics.
    #[must_use]
    pub fn new(relay: &Relay) -> Self {
        let (counts, added) = (relay.stats.counts(), relay.stats.added());
        let milliseconds = |micros: u64| f64::from(u32::try_from(micros).unwrap_or(u32::MAX)) / 1000.0;
        let mut providers: BTreeMap<String, ProviderFigures> =
            relay.providers.keys().map(|name| (name.clone(), ProviderFigures::default())).collect();
        for ((name, status), count) in counts.ended {
            providers.entry(name).or_default().runs_total.insert(status.as_str(), count);
        }
        for ((name, status), count) in counts.refused {
            providers.entry(name).or_default().refused_total.insert(status, count);
        }
        for (name, tokens) in counts.tokens_in {
            providers.entry(name).or_default().input_tokens_total = tokens;
        }
        for (name, tokens) in counts.tokens_out {
            providers.entry(name).or_default().output_tokens_total = tokens;
        }
        Self {
            running: relay.runs.running_count() as u64,
            joined_total: relay.stats.attached_count(),
            added_ms: QuantilesMs { p50: milliseconds(added.p50), p99: milliseconds(added.p99) },
            providers,
        }
    }
}
