//! The relay's metrics.

use super::{
    metrics_text::MetricsText,
    quantiles::QuantilesMs,
    relay_figures::{ProviderFigures, RelayFigures},
};
use crate::relay::ending::RunStatus;

/// Writes them.
pub(super) fn write(relay: &RelayFigures, out: &mut MetricsText) {
    out.gauge("gapless_relay_running_runs", "Runs that have not ended.", relay.running);
    let viewers = "Streams that receive the events of runs that have not ended.";
    out.gauge("gapless_relay_viewers", viewers, relay.viewers);
    let joined = "Requests that joined a run that existed, so that the provider was not asked again.";
    out.counter("gapless_relay_joined_requests_total", joined, relay.joined_total);
    let seconds = |time: &QuantilesMs| [("0.5", time.p50 / 1000.0), ("0.99", time.p99 / 1000.0)];
    let first = "Time from the arrival of a run's first frame until it was durable, since the process began.";
    let first_added = seconds(&relay.first_added_ms);
    out.labeled("summary", "gapless_relay_first_added_seconds", first, "quantile", first_added);
    let each_frame = "Time from the arrival of a provider's frames until they were durable, since the process began.";
    out.labeled("summary", "gapless_relay_added_seconds", each_frame, "quantile", seconds(&relay.added_ms));
    let each = |of: fn(&ProviderFigures) -> Vec<(String, u64)>| {
        relay.providers.iter().flat_map(move |(name, figures)| {
            of(figures).into_iter().map(move |(labels, value)| (format!("provider=\"{name}\"{labels}"), value))
        })
    };
    let ended = each(|figures| {
        let count = |status: &RunStatus| figures.runs_total.get(status.as_str()).copied().unwrap_or(0);
        RunStatus::ENDINGS.iter().map(|status| (format!(",status=\"{}\"", status.as_str()), count(status))).collect()
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
