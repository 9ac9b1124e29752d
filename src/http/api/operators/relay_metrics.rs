//! The relay's metrics.

use super::relay_figures::{ProviderFigures, RelayFigures};
use crate::{
    metrics::{Gathered, Labels},
    relay::ending::RunStatus,
};

/// Writes them.
pub(super) fn write(relay: &RelayFigures, out: &mut Gathered) {
    out.gauge("gapless_relay_running_runs", "Runs that have not ended.", relay.running);
    let viewers = "Streams that receive the events of runs that have not ended.";
    out.gauge("gapless_relay_viewers", viewers, relay.viewers);
    let joined = "Requests that joined a run that existed, so that the provider was not asked again.";
    out.counter("gapless_relay_joined_requests_total", joined, relay.joined_total);
    let first = "Time from the arrival of a run's first frame until it was durable.";
    out.histogram("gapless_relay_first_added_seconds", first, relay.first_added.clone());
    let each_frame = "Time from the arrival of a provider's frames until they were durable.";
    out.histogram("gapless_relay_added_seconds", each_frame, relay.added.clone());
    let each = |of: fn(&ProviderFigures) -> Vec<(Labels, u64)>| {
        relay.providers.iter().flat_map(move |(name, figures)| {
            of(figures).into_iter().map(move |(labels, value)| {
                let provider = std::iter::once(("provider", name.clone()));
                (provider.chain(labels).collect(), value)
            })
        })
    };
    let ended = each(|figures| {
        let count = |status: &RunStatus| figures.runs_total.get(status.as_str()).copied().unwrap_or(0);
        RunStatus::ENDINGS.iter().map(|status| (vec![("status", status.as_str().to_owned())], count(status))).collect()
    });
    out.with_labels("gapless_relay_runs_total", "Runs that ended, by provider and ending.", ended);
    let refused = each(|figures| {
        figures.refused_total.iter().map(|(status, count)| (vec![("status", status.to_string())], *count)).collect()
    });
    let about = "Requests that the provider refused, by provider and HTTP status.";
    out.with_labels("gapless_relay_upstream_errors_total", about, refused);
    let tokens = each(|figures| {
        let ProviderFigures { input_tokens_total, output_tokens_total, .. } = figures;
        let by = |direction: &str| vec![("direction", direction.to_owned())];
        vec![(by("input"), *input_tokens_total), (by("output"), *output_tokens_total)]
    });
    out.with_labels("gapless_relay_tokens_total", "Tokens, by provider and direction.", tokens);
}
