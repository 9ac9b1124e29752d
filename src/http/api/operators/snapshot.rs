//! All statistics of the hub at one moment: the fields of `GET /admin/stats`, and the source of `GET /metrics`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    quantiles::QuantilesMs,
    rates::{PerSecond, rounded},
    relay_figures::RelayFigures,
    state::OperatorsState,
};
use crate::{
    engine::Status,
    http::message::json_text,
    hub::{stats::Stats, top::BusyTopic},
    metrics::HistogramCounts,
    otlp::stats::OtlpCounts,
    quota::{HolderUsage, Limit},
};

/// Length of each list of the busiest topics.
const TOP: usize = 10;

/// Length of the list of the busiest holders: longer, because an operator looks for a particular one.
const TOP_HOLDERS: usize = 20;

/// The hub's statistics. Names ending in `_total` count since the process began; the others are current values.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Snapshot {
    /// The program's version.
    pub version: &'static str,
    /// The storage engine: `sled` or `memory`.
    pub engine: &'static str,
    /// The store's epoch, the first part of every id.
    pub epoch: String,
    /// The newest durable id.
    pub last_id: String,
    /// Seconds since the process began to serve.
    pub uptime_s: f64,
    /// Whether a durable publish would be accepted: what `GET /readyz` says.
    pub ready: bool,
    /// Whether the hub is draining.
    pub draining: bool,
    /// Open connections.
    pub connections: u64,
    /// Maximum number of connections served: as configured, or as permitted by the limit on open files.
    pub connections_limit: u64,
    /// Connections accepted.
    pub connections_total: u64,
    /// Open streams: the sum of `subscriptions`.
    pub subscribers: u64,
    /// Open streams, by state.
    pub subscriptions: SubscriptionFigures,
    /// Streams that began with a cursor.
    pub resumed_total: u64,
    /// Existing topics.
    pub topics: u64,
    /// Events in and out.
    pub events: EventFigures,
    /// Bytes in and out.
    pub bytes: ByteFigures,
    /// Bytes of publish bodies being received or committed.
    pub publish_bytes: u64,
    /// The store.
    pub store: StoreFigures,
    /// Gaps reported to streams, by reason.
    pub gaps_total: GapFigures,
    /// Streams closed because their client did not read.
    pub slow_readers_cut_total: u64,
    /// Streams ended because their credential was no longer valid.
    pub lapsed_total: u64,
    /// Streams ended by an operator.
    pub ended_by_operator_total: u64,
    /// Log lines dropped because stderr was not read in time.
    pub log_lines_dropped_total: u64,
    /// Refused requests, by problem code.
    pub refused_total: BTreeMap<&'static str, u64>,
    /// How often each limit of an address or holder was reached; only those above 0.
    pub quota_refused_total: BTreeMap<&'static str, u64>,
    /// Client addresses with an account: something open, or a rate not yet paid back.
    pub addresses: u64,
    /// Token holders with an account.
    pub holders_known: u64,
    /// The busiest token holders, by events, then by streams.
    pub holders: Vec<Holder>,
    /// The relay.
    pub relay: RelayFigures,
    /// Durations of publishes in buckets. Only for the metrics.
    #[serde(skip)]
    pub publish_times: HistogramCounts,
    /// What was exported by OTLP. Only for the metrics.
    #[serde(skip)]
    pub otlp: OtlpCounts,
    /// The busiest topics, by events and bytes.
    pub top_topics: Vec<TopTopic>,
    /// The topics with the most open streams.
    pub top_topics_by_subscribers: Vec<TopicSubscribers>,
}

/// Open streams, by state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SubscriptionFigures {
    /// Following the newest events.
    pub live: u64,
    /// Reading the log to catch up after they began.
    pub replaying: u64,
    /// Reading the log because they fell behind the ring.
    pub lagged: u64,
}

/// Events in and out. Rates are averages of the last ten seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventFigures {
    /// Events accepted.
    pub in_total: u64,
    /// Events delivered to streams, once for each stream.
    pub out_total: u64,
    /// Events read from the log for streams.
    pub replayed_total: u64,
    /// Events removed with `DELETE /events/<id>`.
    pub removed_total: u64,
    /// Events accepted a second.
    pub in_per_s: f64,
    /// Events delivered to streams a second.
    pub out_per_s: f64,
}

/// Bytes in and out. Rates are averages of the last ten seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ByteFigures {
    /// Bytes of data accepted.
    pub in_total: u64,
    /// Bytes written to streams.
    pub out_total: u64,
    /// Bytes of data accepted a second.
    pub in_per_s: f64,
    /// Bytes written to streams a second.
    pub out_per_s: f64,
}

/// The state of the store.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoreFigures {
    /// Events stored.
    pub events: u64,
    /// Bytes of their data.
    pub bytes: u64,
    /// Bytes on disk used by the store's files; 0 in memory.
    pub disk_bytes: u64,
    /// Bytes of the disk that this process may still use; `None` in memory, or unknown.
    pub disk_free_bytes: Option<u64>,
    /// Size of the disk; `None` in memory, or unknown.
    pub disk_total_bytes: Option<u64>,
    /// Bytes of events waiting for a commit.
    pub queued_bytes: u64,
    /// Commits; concurrent publishes share one.
    pub commits_total: u64,
    /// Milliseconds until a commit is durable.
    pub commit_ms: QuantilesMs,
    /// The durations of all commits in buckets. Only for the metrics.
    #[serde(skip)]
    pub commit_times: HistogramCounts,
    /// Pages of the log read for streams.
    pub pages_read_total: u64,
    /// Damaged parts of the store, moved to quarantine or skipped since it was created.
    pub losses: u64,
    /// Segments whose files still contain bytes of removed events.
    pub unscrubbed: u64,
    /// Seconds by which event times are ahead of the machine's clock.
    pub clock_ahead_s: u64,
    /// Seconds that the machine's clock has leapt forward, excluded from event ages.
    pub clock_leapt_s: u64,
}

/// Gaps reported to streams, by reason.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GapFigures {
    /// Events were removed by retention.
    pub trimmed: u64,
    /// Events were lost to damage of the disk.
    pub lost: u64,
    /// The cursor has another epoch, or is malformed.
    pub unknown: u64,
    /// The cursor is beyond the newest event.
    pub ahead: u64,
}

/// A busy topic. Rates decay over half a minute.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopTopic {
    /// Its name.
    pub topic: String,
    /// Events published a second.
    pub events_per_s: f64,
    /// Bytes of their data a second.
    pub bytes_per_s: f64,
    /// Open streams that its events are delivered to.
    pub subscribers: u32,
}

/// A topic with its number of streams.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopicSubscribers {
    /// Its name.
    pub topic: String,
    /// Open streams that its events are delivered to.
    pub subscribers: u32,
}

/// A holder of tokens. Totals count since its account was created.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Holder {
    /// Its name.
    pub holder: Box<str>,
    /// Open streams.
    pub streams: u64,
    /// Events it has published.
    pub events_total: u64,
    /// Bytes of their data.
    pub bytes_total: u64,
    /// How often it reached a limit of its own.
    pub refused_total: u64,
}

impl Snapshot {
    /// The current statistics.
    pub async fn new(operators: &OperatorsState) -> Self {
        let hub = &operators.hub;
        let (engine, stats): (Status, &Stats) = (hub.status().await, hub.stats());
        let rates = operators.rates.now(stats);
        let subscriptions = SubscriptionFigures {
            live: stats.live.get(),
            replaying: stats.replaying.get(),
            lagged: stats.lagged.get(),
        };
        let draining = operators.net.drain.is_draining();
        let head = hub.head();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            engine: hub.engine_name(),
            epoch: head.epoch.to_string(),
            last_id: head.to_string(),
            uptime_s: rounded(operators.started.elapsed().as_secs_f64()),
            ready: engine.refusing.is_none() && !draining && !operators.body_memory.is_full(),
            draining,
            connections: operators.net.open(),
            connections_limit: operators.net.limits.connections as u64,
            connections_total: operators.net.accepted(),
            subscribers: subscriptions.live + subscriptions.replaying + subscriptions.lagged,
            subscriptions,
            resumed_total: stats.resumed.get(),
            topics: engine.topics,
            events: EventFigures::new(stats, &rates),
            bytes: ByteFigures::new(stats, &rates),
            publish_bytes: operators.body_memory.used() as u64,
            store: StoreFigures::new(stats, &engine),
            gaps_total: GapFigures::new(stats),
            slow_readers_cut_total: stats.slow_readers_cut.get(),
            lapsed_total: stats.lapsed.get(),
            ended_by_operator_total: stats.ended_by_operator.get(),
            log_lines_dropped_total: (operators.log_dropped)(),
            refused_total: stats.refused_by_code(),
            quota_refused_total: quota_refused(operators),
            addresses: operators.auth.quotas.addresses() as u64,
            holders_known: operators.auth.quotas.holders() as u64,
            holders: operators.auth.quotas.busiest(TOP_HOLDERS).into_iter().map(Holder::from).collect(),
            relay: operators.relay.as_ref().map(|relay| RelayFigures::new(relay)).unwrap_or_default(),
            publish_times: stats.publish_times.counts(),
            otlp: operators.otlp.as_ref().map(|otlp| otlp.counts()).unwrap_or_default(),
            top_topics: hub.broker().top().busiest(TOP).iter().map(|busy| TopTopic::new(operators, busy)).collect(),
            top_topics_by_subscribers: hub
                .broker()
                .top_by_subscribers(TOP)
                .into_iter()
                .map(|(topic, subscribers)| TopicSubscribers { topic: topic.to_string(), subscribers })
                .collect(),
        }
    }

    /// The statistics as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        json_text::text(self)
    }
}

impl EventFigures {
    fn new(stats: &Stats, rates: &PerSecond) -> Self {
        Self {
            in_total: stats.events_in.get(),
            out_total: stats.events_out.get(),
            replayed_total: stats.replayed.get(),
            removed_total: stats.removed.get(),
            in_per_s: rounded(rates.events_in),
            out_per_s: rounded(rates.events_out),
        }
    }
}

impl ByteFigures {
    fn new(stats: &Stats, rates: &PerSecond) -> Self {
        Self {
            in_total: stats.bytes_in.get(),
            out_total: stats.bytes_out.get(),
            in_per_s: rounded(rates.bytes_in),
            out_per_s: rounded(rates.bytes_out),
        }
    }
}

impl StoreFigures {
    fn new(stats: &Stats, engine: &Status) -> Self {
        Self {
            events: engine.events,
            bytes: engine.bytes,
            disk_bytes: engine.disk_bytes,
            disk_free_bytes: engine.disk_space.map(|space| space.free),
            disk_total_bytes: engine.disk_space.map(|space| space.total),
            queued_bytes: engine.queued_bytes,
            commits_total: engine.commits_total,
            commit_times: engine.commit_times.clone(),
            commit_ms: QuantilesMs { p50: rounded(engine.commit_ms_p50), p99: rounded(engine.commit_ms_p99) },
            pages_read_total: stats.pages_read.get(),
            losses: engine.losses,
            unscrubbed: engine.unscrubbed,
            clock_ahead_s: engine.clock_ahead.as_secs(),
            clock_leapt_s: engine.clock_leapt.as_secs(),
        }
    }
}

impl GapFigures {
    fn new(stats: &Stats) -> Self {
        Self {
            trimmed: stats.gaps_trimmed.get(),
            lost: stats.gaps_lost.get(),
            unknown: stats.gaps_unknown.get(),
            ahead: stats.gaps_ahead.get(),
        }
    }
}

impl TopTopic {
    fn new(operators: &OperatorsState, busy: &BusyTopic) -> Self {
        Self {
            subscribers: operators.hub.broker().subscribers(&busy.topic),
            topic: busy.topic.to_string(),
            events_per_s: rounded(busy.events_per_s),
            bytes_per_s: rounded(busy.bytes_per_s),
        }
    }
}

impl From<HolderUsage> for Holder {
    fn from(used: HolderUsage) -> Self {
        Self {
            holder: used.holder,
            streams: used.streams,
            events_total: used.events,
            bytes_total: used.bytes,
            refused_total: used.refused,
        }
    }
}

fn quota_refused(operators: &OperatorsState) -> BTreeMap<&'static str, u64> {
    let counts = Limit::ALL.map(|limit| (limit.as_str(), operators.auth.quotas.refused(limit)));
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}
