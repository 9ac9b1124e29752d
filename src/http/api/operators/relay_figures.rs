//! The relay's statistics: a field of `GET /admin/stats`, and metrics.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{metrics::MetricsText, snapshot::CommitMs};
use crate::relay::{Relay, ending::RunStatus};

/// The relay's statistics. All are 0 or empty when no provider is configured. Names ending in `_total` count since the
/// process began.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RelayFigures {
    /// Runs that have not ended.
    pub running: u64,
    /// Requests that joined a run that existed, so that the provider was not asked again.
    pub joined_total: u64,
    /// Milliseconds from the arrival of a provider's frame until it was durable.
    pub added_ms: CommitMs,
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
            added_ms: CommitMs { p50: milliseconds(added.p50), p99: milliseconds(added.p99) },
            providers,
        }
    }

    /// Writes the metrics.
    pub(super) fn write(&self, out: &mut MetricsText) {
        out.gauge("gapless_relay_running_runs", "Runs that have not ended.", self.running);
        let joined = "Requests that joined a run that existed, so that the provider was not asked again.";
        out.counter("gapless_relay_joined_requests_total", joined, self.joined_total);
        out.labeled(
            "gauge",
            "gapless_relay_added_seconds",
            "Time from the arrival of a provider's frame until it was durable, since the process began.",
            "quantile",
            [("0.5", self.added_ms.p50 / 1000.0), ("0.99", self.added_ms.p99 / 1000.0)],
        );
        let each = |of: fn(&ProviderFigures) -> Vec<(String, u64)>| {
            self.providers.iter().flat_map(move |(name, figures)| {
                of(figures).into_iter().map(move |(labels, value)| (format!("provider=\"{name}\"{labels}"), value))
            })
        };
        let ended = each(|figures| {
            let count = |status: &RunStatus| figures.runs_total.get(status.as_str()).copied().unwrap_or(0);
            RunStatus::ENDINGS
                .iter()
                .map(|status| (format!(",status=\"{}\"", status.as_str()), count(status)))
                .collect()
        });
        out.with_labels("counter", "gapless_relay_runs_total", "Runs that ended, by provider and ending.", ended);
        let refused = each(|figures| {
            figures.refused_total.iter().map(|(status, count)| (format!(",status=\"{status}\""), *count)).collect()
        });
        let about = "Requests that the provider refused, by provider and HTTP status.";
        out.with_labels("counter", "gapless_relay_upstream_errors_total", about, refused);
        let tokens = each(|figures| {
            let ProviderFigures { input_tokens_total, output_tokens_total, .. } = figures;
            let by = |direction| format!(",direction=\"{direction}\"");
            vec![(by("input"), *input_tokens_total), (by("output"), *output_tokens_total)]
        });
        out.with_labels("counter", "gapless_relay_tokens_total", "Tokens, by provider and direction.", tokens);
    }
}
