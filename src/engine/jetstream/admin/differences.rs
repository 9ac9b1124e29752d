//! A stream's configuration beside the one that a hub needs.

use std::fmt::{self, Display};

use super::finding::StreamFindingKind;
use crate::engine::jetstream::nats::StreamConfig;

/// A setting of a stream that is not what a hub needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) kind: StreamFindingKind,
    pub(super) setting: &'static str,
    pub(super) is: String,
    pub(super) wanted: String,
    /// Whether the server can change it on a stream with messages, and no message is lost by it.
    pub(super) changeable: bool,
}

impl Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, wanted {}", self.setting, self.is, self.wanted)
    }
}

/// What differs. `wanted` is the configuration with which the stream would be made; more replicas than it has, and any
/// `max_bytes`, are as good.
pub(super) fn differences(is: &StreamConfig, wanted: &StreamConfig) -> Vec<Difference> {
    use StreamFindingKind as Kind;
    let mut found = Vec::new();
    let mut compare = |kind, setting, is: String, wanted: String, changeable| {
        if is != wanted {
            found.push(Difference { kind, setting, is, wanted, changeable });
        }
    };
    let list = |subjects: &[String]| subjects.join(" ");
    compare(Kind::Foreign, "subjects", list(&is.subjects), list(&wanted.subjects), false);
    let replicas = is.num_replicas.max(wanted.num_replicas);
    compare(Kind::Replicas, "num_replicas", is.num_replicas.to_string(), replicas.to_string(), true);
    compare(Kind::Storage, "storage", is.storage.clone(), wanted.storage.clone(), false);
    compare(Kind::Retention, "retention", is.retention.clone(), wanted.retention.clone(), false);
    compare(Kind::Discard, "discard", is.discard.clone(), wanted.discard.clone(), true);
    let persist = |config: &StreamConfig| config.persist_mode.clone().unwrap_or_else(|| "default".into());
    compare(Kind::Persistence, "persist_mode", persist(is), persist(wanted), false);
    // 0 and -1 are no limit.
    let limit = |value: i64| if value <= 0 { "none".to_owned() } else { value.to_string() };
    let seconds = |nanoseconds: u64| match nanoseconds {
        0 => "none".to_owned(),
        some => format!("{} s", some / 1_000_000_000),
    };
    compare(Kind::SilentTrim, "max_age", seconds(is.max_age), seconds(wanted.max_age), true);
    compare(Kind::SilentTrim, "max_msgs", limit(is.max_msgs), limit(wanted.max_msgs), true);
    let (of, want) = (limit(is.max_msgs_per_subject), limit(wanted.max_msgs_per_subject));
    compare(Kind::SilentTrim, "max_msgs_per_subject", of, want, true);
    let (of, want) = (seconds(is.subject_delete_marker_ttl), seconds(wanted.subject_delete_marker_ttl));
    compare(Kind::SilentTrim, "subject_delete_marker_ttl", of, want, true);
    compare(Kind::MaxPayload, "max_msg_size", limit(is.max_msg_size), limit(wanted.max_msg_size), true);
    for (setting, of, want) in [
        ("allow_direct", is.allow_direct, wanted.allow_direct),
        ("allow_atomic", is.allow_atomic, wanted.allow_atomic),
        ("allow_rollup_hdrs", is.allow_rollup_hdrs, wanted.allow_rollup_hdrs),
        ("allow_msg_ttl", is.allow_msg_ttl, wanted.allow_msg_ttl),
    ] {
        compare(Kind::Feature, setting, of.to_string(), want.to_string(), true);
    }
    let republish = |config: &StreamConfig| {
        let one = config.republish.as_ref();
        one.map_or("none".to_owned(), |to| {
            format!("{} to {}{}", to.src, to.dest, if to.headers_only { ", headers only" } else { "" })
        })
    };
    compare(Kind::Republish, "republish", republish(is), republish(wanted), true);
    for (setting, of) in [("deny_delete", is.deny_delete), ("deny_purge", is.deny_purge), ("sealed", is.sealed)] {
        compare(Kind::Denied, setting, of.to_string(), "false".into(), false);
    }
    for (setting, of) in
        [("mirror", &is.mirror), ("sources", &is.sources), ("subject_transform", &is.subject_transform)]
    {
        compare(Kind::Foreign, setting, if of.is_some() { "set" } else { "none" }.into(), "none".into(), false);
    }
    let window = |config: &StreamConfig| format!("{} ms", config.duplicate_window / 1_000_000);
    compare(Kind::DuplicateWindow, "duplicate_window", window(is), window(wanted), true);
    found
}
