//! Every metric with its unit and its help: for `GET /metrics`, in the format that the scraper asks for, and for OTLP.
//!
//! The statistics of [`super::snapshot`], under the names `gapless_<noun>_<unit>[_total]`. Labels are few and fixed:
//! states, reasons, codes, limits, configured providers; never a topic, an address or a holder.

use http::{HeaderMap, HeaderValue, header};

use super::{relay_metrics, snapshot::Snapshot, state::OperatorsState, stats::READ_STATS};
use crate::{
    http::{
        auth::Authorization,
        message::{accept, problem::Problem},
        net::response::{Response, full},
    },
    metrics::{Gathered, MetricKind, protobuf, text},
    otlp::stats::OtlpCounts,
    quota::Limit,
};

/// The response with every metric: in protobuf for a scraper that prefers it, else as text.
///
/// # Errors
/// When the caller lacks the grant `admin`.
pub async fn handle(
    operators: &OperatorsState,
    authorization: &Authorization,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    authorization.require_admin(READ_STATS)?;
    let gathered = gather(operators).await;
    let (content_type, body) = if accept::prefers(headers, protobuf::CONTENT_TYPE, "text/plain") {
        (protobuf::CONTENT_TYPE, protobuf::encode(&gathered))
    } else {
        (text::CONTENT_TYPE, text::text(&gathered).into_bytes())
    };
    let mut response = Response::new(full(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// Every metric.
pub async fn gather(operators: &OperatorsState) -> Gathered {
    of(&Snapshot::new(operators).await)
}

fn of(now: &Snapshot) -> Gathered {
    let mut out = Gathered::default();
    out.info(
        "gapless_build_info",
        "Always 1; labels: the program's version, the engine, the store's epoch.",
        &[("version", now.version), ("engine", now.engine), ("epoch", &now.epoch)],
    );
    out.gauge("gapless_uptime_seconds", "Time since the process began to serve.", now.uptime_s);
    out.gauge("gapless_ready", "1 when a durable publish would be accepted.", u8::from(now.ready));
    out.gauge("gapless_connections", "Open connections.", now.connections);
    out.gauge("gapless_connections_limit", "Maximum number of connections served.", now.connections_limit);
    out.counter("gapless_accepted_connections_total", "Connections accepted.", now.connections_total);
    let streams = &now.subscriptions;
    out.labeled(
        MetricKind::Gauge,
        "gapless_streams",
        "Open streams, by state.",
        "state",
        [("live", streams.live), ("replaying", streams.replaying), ("lagged", streams.lagged)],
    );
    out.counter("gapless_resumed_streams_total", "Streams that began with a cursor.", now.resumed_total);
    out.gauge("gapless_topics", "Existing topics.", now.topics);
    out.counter("gapless_published_events_total", "Events accepted.", now.events.in_total);
    out.counter("gapless_published_bytes_total", "Bytes of data accepted.", now.bytes.in_total);
    out.counter(
        "gapless_delivered_events_total",
        "Events delivered to streams, once for each stream.",
        now.events.out_total,
    );
    out.counter("gapless_delivered_bytes_total", "Bytes written to streams.", now.bytes.out_total);
    out.counter("gapless_replayed_events_total", "Events read from the log for streams.", now.events.replayed_total);
    out.counter("gapless_removed_events_total", "Events removed with DELETE /events/<id>.", now.events.removed_total);
    out.gauge("gapless_publishing_bytes", "Bytes of publish bodies being received or committed.", now.publish_bytes);
    let store = &now.store;
    out.gauge("gapless_store_events", "Events stored.", store.events);
    out.gauge("gapless_store_bytes", "Bytes of event data stored.", store.bytes);
    out.gauge("gapless_store_disk_bytes", "Bytes on disk used by the store's files.", store.disk_bytes);
    let free = "Bytes of the store's disk that the hub may still use.";
    out.known_gauge("gapless_store_disk_free_bytes", free, store.disk_free_bytes);
    out.known_gauge("gapless_store_disk_total_bytes", "Size of the store's disk.", store.disk_total_bytes);
    out.gauge("gapless_store_queued_bytes", "Bytes of events waiting for a commit.", store.queued_bytes);
    out.gauge("gapless_store_losses", "Damaged parts of the store, moved to quarantine or skipped.", store.losses);
    let unscrubbed = "Segments whose files still contain bytes of removed events.";
    out.gauge("gapless_store_unscrubbed", unscrubbed, store.unscrubbed);
    let ahead = "Seconds by which event times are ahead of the machine's clock.";
    out.gauge("gapless_clock_ahead_seconds", ahead, store.clock_ahead_s);
    let leapt = "Seconds that the machine's clock has leapt forward, excluded from event ages.";
    out.gauge("gapless_clock_leapt_seconds", leapt, store.clock_leapt_s);
    out.counter("gapless_commits_total", "Commits; concurrent publishes share one.", store.commits_total);
    let commits = store.commit_times.clone();
    out.histogram("gapless_commit_seconds", "Time until a commit is durable.", commits);
    let publishes = "Time from the head of a publish until its events are durable; without streams.";
    out.histogram("gapless_publish_seconds", publishes, now.publish_times.clone());
    out.counter("gapless_log_pages_total", "Pages read from the log for streams.", store.pages_read_total);
    let gaps = &now.gaps_total;
    out.labeled(
        MetricKind::Counter,
        "gapless_gaps_total",
        "Gaps reported to streams, by reason.",
        "reason",
        [("trimmed", gaps.trimmed), ("lost", gaps.lost), ("unknown", gaps.unknown), ("ahead", gaps.ahead)],
    );
    let cut = now.slow_readers_cut_total;
    out.counter("gapless_slow_readers_cut_total", "Streams closed because their client did not read.", cut);
    let lapsed = now.lapsed_total;
    out.counter("gapless_lapsed_streams_total", "Streams ended because their credential was no longer valid.", lapsed);
    let ended = now.ended_by_operator_total;
    out.counter("gapless_operator_ended_streams_total", "Streams ended by an operator.", ended);
    let dropped = now.log_lines_dropped_total;
    out.counter("gapless_log_lines_dropped_total", "Log lines dropped because stderr was not read in time.", dropped);
    let refused = now.refused_total.iter().map(|(code, count)| (*code, *count));
    out.labeled(
        MetricKind::Counter,
        "gapless_refused_requests_total",
        "Requests refused, by problem code.",
        "code",
        refused,
    );
    let count_of = |limit: Limit| (limit.as_str(), now.quota_refused_total.get(limit.as_str()).copied().unwrap_or(0));
    out.labeled(
        MetricKind::Counter,
        "gapless_quota_refused_total",
        "Times that a limit of an address or holder was reached, by limit.",
        "limit",
        Limit::ALL.map(count_of),
    );
    out.labeled(
        MetricKind::Gauge,
        "gapless_quota_accounts",
        "Client addresses and token holders with an account of their own.",
        "kind",
        [("address", now.addresses), ("holder", now.holders_known)],
    );
    of_export(&now.otlp, &mut out);
    relay_metrics::write(&now.relay, &mut out);
    out
}

/// The metrics of the export by OTLP.
fn of_export(otlp: &OtlpCounts, out: &mut Gathered) {
    let exported = "Spans that the OTLP collector has taken.";
    out.counter("gapless_otlp_exported_spans_total", exported, otlp.exported_spans);
    let dropped = "Spans that were not exported: more ended than the OTLP collector has taken.";
    out.counter("gapless_otlp_dropped_spans_total", dropped, otlp.dropped_spans);
    out.labeled(
        MetricKind::Counter,
        "gapless_otlp_failed_exports_total",
        "Attempts to export that the OTLP collector has not taken.",
        "signal",
        [("traces", otlp.failed_traces), ("metrics", otlp.failed_metrics)],
    );
}
