//! Every bound of forwarding.

use std::time::Duration;

/// Bounds of both sides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ForwardLimits {
    /// Target size of a message in bytes. A larger unit is sent in parts of this size, so it must be below the server's
    /// `max_payload` by [`HEAD_BYTES`].
    pub(crate) message_bytes: usize,
    /// Largest unit in bytes: the leader holds the parts of one unit per session.
    pub(crate) unit_bytes: usize,
    /// Units in flight in a session; the leader keeps at most as many results.
    pub(crate) window_units: usize,
    /// Bytes of units in flight; one unit may be larger.
    pub(crate) window_bytes: usize,
    /// Messages in flight. Few, so that units gather into larger messages while the leader is busy.
    pub(crate) window_messages: usize,
    /// Longest time a unit waits to be sent before it is refused.
    pub(crate) wait: Duration,
    /// How old an append may be when it is sent again:
    /// [`LogConfig::repeats_within`](crate::engine::log::LogConfig::repeats_within).
    pub(crate) repeat: Duration,
    /// Time without an answer until the follower asks; doubled up to `longest_retry`.
    pub(crate) retry: Duration,
    /// See `retry`.
    pub(crate) longest_retry: Duration,
    /// Most sessions of a leader.
    pub(crate) sessions: usize,
    /// Time without a message after which a session in which nothing is executed is dropped.
    pub(crate) idle: Duration,
}

/// Most bytes of a message besides units, results or parts.
pub(crate) const HEAD_BYTES: usize = 1024;

/// Most events of a unit: more are malformed. Bounds what a message can make its reader allocate.
pub(super) const MAX_EVENTS: usize = 1 << 16;

impl ForwardLimits {
    /// The bounds of a hub.
    pub(crate) const DEFAULT: Self = Self {
        message_bytes: 512 << 10,
        unit_bytes: 64 << 20,
        window_units: 1024,
        window_bytes: 4 << 20,
        window_messages: 4,
        wait: Duration::from_secs(10),
        repeat: Duration::from_secs(30),
        retry: Duration::from_millis(250),
        longest_retry: Duration::from_secs(2),
        sessions: 256,
        idle: Duration::from_mins(1),
    };
}
