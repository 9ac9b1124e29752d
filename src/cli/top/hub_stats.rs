//! What `GET /admin/stats` says, as far as it is shown. An older or newer hub may leave fields out; they are then 0 or
//! unknown.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::cli::CliError;

/// The statistics of a hub at one moment.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct HubStats {
    pub(super) version: String,
    #[serde(default)]
    pub(super) engine: String,
    #[serde(default)]
    pub(super) last_id: String,
    /// Seconds since the hub began to serve.
    pub(super) uptime_s: f64,
    pub(super) ready: bool,
    #[serde(default)]
    pub(super) draining: bool,
    #[serde(default)]
    pub(super) connections: u64,
    #[serde(default)]
    pub(super) connections_limit: u64,
    #[serde(default)]
    pub(super) subscribers: u64,
    #[serde(default)]
    pub(super) subscriptions: StreamStates,
    #[serde(default)]
    pub(super) topics: u64,
    #[serde(default)]
    pub(super) events: FlowStats,
    #[serde(default)]
    pub(super) bytes: FlowStats,
    #[serde(default)]
    pub(super) store: StoreStats,
    #[serde(default)]
    pub(super) gaps_total: BTreeMap<String, u64>,
    #[serde(default)]
    pub(super) slow_readers_cut_total: u64,
    #[serde(default)]
    pub(super) log_lines_dropped_total: u64,
    #[serde(default)]
    pub(super) refused_total: BTreeMap<String, u64>,
    #[serde(default)]
    pub(super) holders: Vec<HolderStats>,
    #[serde(default)]
    pub(super) relay: RunStats,
    #[serde(default)]
    pub(super) top_topics: Vec<TopicStats>,
    #[serde(default)]
    pub(super) top_topics_by_subscribers: Vec<TopicStats>,
}

/// Open streams, by state.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct StreamStates {
    pub(super) live: u64,
    pub(super) replaying: u64,
    pub(super) lagged: u64,
}

/// Events or bytes, in and out. Rates are averages of the last ten seconds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct FlowStats {
    pub(super) in_total: u64,
    pub(super) out_total: u64,
    pub(super) in_per_s: f64,
    pub(super) out_per_s: f64,
}

/// The store.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct StoreStats {
    pub(super) events: u64,
    pub(super) disk_bytes: u64,
    pub(super) queued_bytes: u64,
    pub(super) commit_ms: CommitTime,
    pub(super) losses: u64,
    pub(super) unscrubbed: u64,
    pub(super) clock_ahead_s: u64,
    pub(super) clock_leapt_s: u64,
    /// `None` where the hub does not know it.
    pub(super) disk_free_bytes: Option<u64>,
    /// `None` where the hub does not know it.
    pub(super) disk_total_bytes: Option<u64>,
}

/// Milliseconds until a commit is durable.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct CommitTime {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// The relay.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct RunStats {
    pub(super) running: u64,
    pub(super) viewers: u64,
}

/// A token holder.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct HolderStats {
    pub(super) holder: String,
    pub(super) streams: u64,
    pub(super) events_total: u64,
    pub(super) bytes_total: u64,
    pub(super) refused_total: u64,
}

/// A topic. Its rates are `None` where only its streams are known.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct TopicStats {
    pub(super) topic: String,
    pub(super) events_per_s: Option<f64>,
    pub(super) bytes_per_s: Option<f64>,
    pub(super) subscribers: u64,
}

impl HubStats {
    /// Parses the JSON of a hub.
    ///
    /// # Errors
    /// When it is not the statistics of a hub.
    pub(super) fn parse(json: &str) -> Result<Self, CliError> {
        serde_json::from_str(json).map_err(|error| CliError::NotAHub(format!("its statistics are malformed: {error}")))
    }

    /// The share of the disk that is free, in percent, if it is known.
    pub(super) fn disk_free_percent(&self) -> Option<f64> {
        let (free, total) = (self.store.disk_free_bytes?, self.store.disk_total_bytes.filter(|total| *total > 0)?);
        #[expect(clippy::cast_precision_loss, reason = "a percentage")]
        Some(free as f64 * 100.0 / total as f64)
    }

    /// The busiest topics, each once: those with most events, bytes, and streams.
    pub(super) fn busiest_topics(&self) -> Vec<TopicStats> {
        let mut topics = self.top_topics.clone();
        for topic in &self.top_topics_by_subscribers {
            if topics.iter().all(|known| known.topic != topic.topic) {
                topics.push(topic.clone());
            }
        }
        topics
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The statistics of a busy hub.
    pub(in crate::cli::top) const BUSY: &str = r#"{
        "version": "0.1.0", "engine": "sled", "last_id": "yrtxnomj-81234", "uptime_s": 7384.5, "ready": true,
        "draining": false, "connections": 5020, "connections_limit": 10000, "subscribers": 5012,
        "subscriptions": {"live": 5000, "replaying": 10, "lagged": 2}, "topics": 12000,
        "events": {"in_total": 81234, "out_total": 4000000, "in_per_s": 1204.2, "out_per_s": 60210.0},
        "bytes": {"in_total": 8123400, "out_total": 400000000, "in_per_s": 123456.0, "out_per_s": 6500000.0},
        "store": {"events": 3100000, "disk_bytes": 1288490188, "queued_bytes": 2048, "commit_ms": {"p50": 1.234, "p99": 8.1},
                  "losses": 0, "unscrubbed": 0, "clock_ahead_s": 0, "clock_leapt_s": 0,
                  "disk_free_bytes": 15032385536, "disk_total_bytes": 32212254720},
        "gaps_total": {"trimmed": 3, "lost": 0, "unknown": 0, "ahead": 0}, "slow_readers_cut_total": 2,
        "log_lines_dropped_total": 0, "refused_total": {"rate-limited": 10, "unauthorized": 2, "forbidden": 0},
        "holders": [{"holder": "ci", "streams": 12, "events_total": 80000, "bytes_total": 8000000, "refused_total": 10},
                    {"holder": "web", "streams": 5000, "events_total": 1234, "bytes_total": 123400, "refused_total": 0}],
        "relay": {"running": 3, "viewers": 7},
        "top_topics": [{"topic": "orders/new", "events_per_s": 800.5, "bytes_per_s": 80000.0, "subscribers": 4000},
                       {"topic": "jobs/42/tokens", "events_per_s": 400.25, "bytes_per_s": 90000.0, "subscribers": 3}],
        "top_topics_by_subscribers": [{"topic": "orders/new", "subscribers": 4000}, {"topic": "notices", "subscribers": 900}]
    }"#;

    /// These statistics with some fields replaced, by their path.
    pub(in crate::cli::top) fn busy_with(changes: &[(&str, serde_json::Value)]) -> HubStats {
        let mut json: serde_json::Value = serde_json::from_str(BUSY).expect("JSON");
        for (pointer, value) in changes {
            let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
            json.pointer_mut(parent).expect("its object")[name] = value.clone();
        }
        HubStats::parse(&json.to_string()).expect("statistics")
    }

    #[test]
    fn a_hub_may_leave_out_what_it_does_not_know() {
        let stats = HubStats::parse(r#"{"version":"9","uptime_s":1,"ready":true,"events":{"in_total":1},"new":[]}"#);
        let stats = stats.expect("enough");
        assert_eq!((stats.events.in_total, stats.disk_free_percent()), (1, None));
        let stats = busy_with(&[("/store/disk_free_bytes", serde_json::Value::Null)]);
        assert_eq!(stats.disk_free_percent(), None);
        assert_eq!(busy_with(&[]).disk_free_percent().map(f64::round), Some(47.0));
        assert!(HubStats::parse("{}").expect_err("another server").to_string().contains("not a gapless hub"));
    }

    #[test]
    fn a_topic_in_both_lists_is_one_row() {
        let topics = busy_with(&[]).busiest_topics();
        let names: Vec<&str> = topics.iter().map(|topic| &*topic.topic).collect();
        assert_eq!(names, ["orders/new", "jobs/42/tokens", "notices"]);
        assert_eq!((topics[0].events_per_s, topics[2].events_per_s), (Some(800.5), None));
    }
}
