//! Every figure of the hub at one moment: the fields of `GET /admin/stats`, and what `GET /metrics` is made of.

use std::collections::BTreeMap;

use serde::Serialize;

use super::rates::PerSecond;
use crate::{
    engine::Status,
    event::EventId,
    http::{
        AppState, json_text,
        quota::{HolderUsage, Limit},
    },
    hub::{stats::Stats, top::Busy},
};

/// Topics of each list of the busiest.
const TOP: usize = 10;

/// Holders of the list of the busiest: more than topics, because whoever asks looks for one of them.
const TOP_HOLDERS: usize = 20;

/// The hub's figures. Names ending in `_total` count since the process began; the others are of this moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Snapshot {
    /// Of the program.
    pub version: &'static str,
    /// What keeps the log: `sled` or `memory`.
    pub engine: &'static str,
    /// The store's incarnation, the first part of every id.
    pub epoch: String,
    /// The newest durable id.
    pub last_id: String,
    /// Seconds since the process began to serve.
    pub uptime_s: f64,
    /// Whether a durable publish would be accepted: what `GET /readyz` says.
    pub ready: bool,
    /// Whether the process is about to end.
    pub draining: bool,
    /// Open connections.
    pub connections: u64,
    /// Connections served at most: as many as are configured, or as fit below the limit on open files.
    pub connections_limit: u64,
    /// Connections accepted.
    pub connections_total: u64,
    /// Open streams: the sum of `subscriptions`.
    pub subscribers: u64,
    /// Open streams by what they do.
    pub subscriptions: SubscriptionFigures,
    /// Streams that came with a cursor.
    pub resumed_total: u64,
    /// Topics in use.
    pub topics: u64,
    /// Events in and out.
    pub events: EventFigures,
    /// Bytes in and out.
    pub bytes: ByteFigures,
    /// Bytes of publish bodies that are being received or wait for the disk.
    pub publish_bytes: u64,
    /// What is kept.
    pub store: StoreFigures,
    /// Gaps told to streams, by reason.
    pub gaps_total: GapFigures,
    /// Streams cut because their client did not read.
    pub slow_readers_cut_total: u64,
    /// Streams ended because their client's credential was good no more.
    pub lapsed_total: u64,
    /// Lines of the log dropped because nobody read them in time.
    pub log_lines_dropped_total: u64,
    /// Refused requests, by the code of their problem.
    pub refused_total: BTreeMap<&'static str, u64>,
    /// How often each limit by address or by holder was met; only those that were.
    pub quota_refused_total: BTreeMap<&'static str, u64>,
    /// Client addresses that have something open, or owe something.
    pub addresses: u64,
    /// Holders of tokens that are remembered.
    pub holders_known: u64,
    /// The busiest holders of tokens by events, then by streams, busiest first.
    pub holders: Vec<Holder>,
    /// The busiest topics by events and bytes, busiest first.
    pub top_topics: Vec<TopTopic>,
    /// The topics with most open streams, most first.
    pub top_topics_by_subscribers: Vec<Audience>,
}

/// Open streams by what they do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SubscriptionFigures {
    /// Follow the newest events.
    pub live: u64,
    /// Read the log to catch up after they came.
    pub replaying: u64,
    /// Read the log because they were too slow for the ring.
    pub lagged: u64,
}

/// Events in and out. Rates are averages of the last ten seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventFigures {
    /// Events accepted.
    pub in_total: u64,
    /// Events given to streams, once for each stream.
    pub out_total: u64,
    /// Events read from the log for streams.
    pub replayed_total: u64,
    /// Events taken back.
    pub removed_total: u64,
    /// Events accepted a second.
    pub in_per_s: f64,
    /// Events given to streams a second.
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

/// What the engine keeps.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoreFigures {
    /// Events kept.
    pub events: u64,
    /// Bytes of their data.
    pub bytes: u64,
    /// Bytes the store's files take; 0 in memory.
    pub disk_bytes: u64,
    /// Bytes of events that wait for the disk.
    pub queued_bytes: u64,
    /// Commits; events that come together share one.
    pub commits_total: u64,
    /// Milliseconds a commit takes until it is durable.
    pub commit_ms: CommitMs,
    /// Pages of the log read for streams.
    pub pages_read_total: u64,
    /// Parts of the store found damaged and set aside since it was made.
    pub losses: u64,
    /// Segments whose files still hold bytes of events that were taken back.
    pub unscrubbed: u64,
    /// Seconds by which events are stamped ahead of the machine's clock.
    pub clock_ahead_s: u64,
    /// Seconds by which the machine's clock leapt ahead, and which ages do not count.
    pub clock_leapt_s: u64,
}

/// Milliseconds a commit takes, since the process began.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CommitMs {
    /// Half of them take less.
    pub p50: f64,
    /// One in a hundred takes longer.
    pub p99: f64,
}

/// Gaps told to streams, by reason.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GapFigures {
    /// Retention had removed events.
    pub trimmed: u64,
    /// The disk had lost events.
    pub lost: u64,
    /// The cursor was of another epoch, or none.
    pub unknown: u64,
    /// The cursor was past the newest event.
    pub ahead: u64,
}

/// A busy topic; rates fade over half a minute.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopTopic {
    /// Its name.
    pub topic: String,
    /// Events published a second.
    pub events_per_s: f64,
    /// Bytes of their data a second.
    pub bytes_per_s: f64,
    /// Open streams its events go to.
    pub subscribers: u32,
}

/// A topic and its streams.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Audience {
    /// Its name.
    pub topic: String,
    /// Open streams its events go to.
    pub subscribers: u32,
}

/// A holder of tokens; its sums count since it is known.
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
    /// How often it met a limit of its own.
    pub refused_total: u64,
}

impl Snapshot {
    /// The figures now.
    #[must_use]
    pub fn new(app: &AppState) -> Self {
        let hub = &app.hub;
        let (health, stats): (Status, &Stats) = (hub.status(), hub.stats());
        let rates = app.rates.now(stats);
        let subscriptions = SubscriptionFigures {
            live: stats.live.get(),
            replaying: stats.replaying.get(),
            lagged: stats.lagged.get(),
        };
        let draining = app.drain.is_draining();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            engine: hub.engine_name(),
            epoch: hub.epoch().to_string(),
            last_id: EventId { epoch: hub.epoch(), seq: hub.head() }.to_string(),
            uptime_s: rounded(app.started.elapsed().as_secs_f64()),
            ready: health.refusing.is_none() && !draining && !app.body_memory.is_full(),
            draining,
            connections: stats.connections.get(),
            connections_limit: app.limits.connections as u64,
            connections_total: stats.connections_total.get(),
            subscribers: subscriptions.live + subscriptions.replaying + subscriptions.lagged,
            subscriptions,
            resumed_total: stats.resumed.get(),
            topics: health.topics,
            events: EventFigures::new(stats, &rates),
            bytes: ByteFigures::new(stats, &rates),
            publish_bytes: app.body_memory.used() as u64,
            store: StoreFigures::new(stats, &health),
            gaps_total: GapFigures::new(stats),
            slow_readers_cut_total: stats.slow_readers_cut.get(),
            lapsed_total: stats.lapsed.get(),
            log_lines_dropped_total: (app.log_dropped)(),
            refused_total: stats.refused_by_code(),
            quota_refused_total: quota_refused(app),
            addresses: app.quotas.addresses() as u64,
            holders_known: app.quotas.holders() as u64,
            holders: app.quotas.busiest(TOP_HOLDERS).into_iter().map(Holder::from).collect(),
            top_topics: hub.broker().top().busiest(TOP).iter().map(|busy| TopTopic::new(app, busy)).collect(),
            top_topics_by_subscribers: hub
                .broker()
                .top_by_subscribers(TOP)
                .into_iter()
                .map(|(topic, subscribers)| Audience { topic: topic.to_string(), subscribers })
                .collect(),
        }
    }

    /// The figures as JSON.
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
    fn new(stats: &Stats, health: &Status) -> Self {
        Self {
            events: health.events,
            bytes: health.bytes,
            disk_bytes: health.disk_bytes,
            queued_bytes: health.queued_bytes,
            commits_total: health.commits_total,
            commit_ms: CommitMs { p50: rounded(health.commit_ms_p50), p99: rounded(health.commit_ms_p99) },
            pages_read_total: stats.pages_read.get(),
            losses: health.losses,
            unscrubbed: health.unscrubbed,
            clock_ahead_s: health.clock_ahead.as_secs(),
            clock_leapt_s: health.clock_leapt.as_secs(),
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
    fn new(app: &AppState, busy: &Busy) -> Self {
        Self {
            subscribers: app.hub.broker().subscribers(&busy.topic),
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

fn quota_refused(app: &AppState) -> BTreeMap<&'static str, u64> {
    let counts = Limit::ALL.map(|limit| (limit.as_str(), app.quotas.refused(limit)));
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

/// Three decimals: more would only be noise.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
