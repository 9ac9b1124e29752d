//! What is configured of a stream.

use serde::{Deserialize, Serialize};

/// What an operator chooses.
#[derive(Clone, Debug)]
pub(in crate::engine) struct StreamSettings {
    /// 3 or 5: one replica has no group commit, and loses all with its disk.
    pub(in crate::engine) replicas: u8,
    /// The stream's bound, in bytes of one replica; a full stream refuses writes. `None`: the account's.
    pub(in crate::engine) max_bytes: Option<u64>,
}

/// The configuration as the server tells it, as far as it matters to us. It leaves out what is false or empty. Durations
/// in nanoseconds; -1 and 0 are no limit.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "as the server has them")]
pub(in crate::engine) struct StreamConfig {
    pub(in crate::engine) name: String,
    pub(in crate::engine) subjects: Vec<String>,
    /// `limits`
    pub(in crate::engine) retention: String,
    /// `file`
    pub(in crate::engine) storage: String,
    /// `new`
    pub(in crate::engine) discard: String,
    pub(in crate::engine) num_replicas: u8,
    pub(in crate::engine) max_bytes: i64,
    pub(in crate::engine) max_msgs: i64,
    pub(in crate::engine) max_msgs_per_subject: i64,
    pub(in crate::engine) max_msg_size: i64,
    pub(in crate::engine) max_age: u64,
    /// The window of `Nats-Msg-Id`, which we do not use; each id costs memory for so long.
    pub(in crate::engine) duplicate_window: u64,
    pub(in crate::engine) allow_direct: bool,
    pub(in crate::engine) allow_atomic: bool,
    pub(in crate::engine) allow_rollup_hdrs: bool,
    pub(in crate::engine) allow_msg_ttl: bool,
    pub(in crate::engine) deny_delete: bool,
    pub(in crate::engine) deny_purge: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(in crate::engine) sealed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::engine) republish: Option<Republish>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(in crate::engine) subject_delete_marker_ttl: u64,
    /// `async` would acknowledge before the disk has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::engine) persist_mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::engine) mirror: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::engine) sources: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::engine) subject_transform: Option<serde_json::Value>,
    /// `s2` or `none`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::engine) compression: Option<String>,
    /// What else the server tells, as placement and metadata: an update gives it back.
    #[serde(flatten)]
    pub(in crate::engine) rest: serde_json::Map<String, serde_json::Value>,
}

/// Copies of stored messages by core NATS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct Republish {
    pub(in crate::engine) src: String,
    pub(in crate::engine) dest: String,
    #[serde(default)]
    pub(in crate::engine) headers_only: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}
