//! The relay's statistics: a field of `GET /admin/stats`.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

use super::quantiles::QuantilesMs;
use crate::metrics::HistogramCounts;
use crate::relay::{Relay, run::Run, stats::AddedTime};

/// The relay's statistics. All are 0 or empty when no provider is configured. Names ending in `_total` count since the
/// process began.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RelayFigures {
    /// Runs that have not ended.
    pub running: u64,
    /// Streams that receive the events of runs that have not ended.
    pub viewers: u64,
    /// Requests that joined a run that existed, so that the provider was not asked again.
    pub joined_total: u64,
    /// Milliseconds from the arrival of a provider's frames until they were durable: the first ones of each run.
    pub first_added_ms: QuantilesMs,
    /// The same for all frames.
    pub added_ms: QuantilesMs,
    /// The first of these in buckets. Only for the metrics.
    #[serde(skip)]
    pub first_added: HistogramCounts,
    /// The second of these in buckets. Only for the metrics.
    #[serde(skip)]
    pub added: HistogramCounts,
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
        let (counts, (first_added, added)) = (relay.stats.counts(), relay.stats.added());
        let (first_added_times, added_times) = relay.stats.added_times();
        let milliseconds = |micros: u64| f64::from(u32::try_from(micros).unwrap_or(u32::MAX)) / 1000.0;
        let quantiles = |time: AddedTime| QuantilesMs { p50: milliseconds(time.p50), p99: milliseconds(time.p99) };
        let running = relay.runs.running();
        let viewers = |run: &Arc<Run>| u64::from(relay.hub.broker().subscribers(&run.facts.topic));
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
            running: running.iter().filter(|run| run.is_here()).count() as u64,
            viewers: running.iter().map(viewers).sum(),
            joined_total: relay.stats.attached_count(),
            first_added_ms: quantiles(first_added),
            added_ms: quantiles(added),
            first_added: first_added_times,
            added: added_times,
            providers,
        }
    }
}
