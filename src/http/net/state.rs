//! What the connections of all cores share: limits, the drain, TLS, counters.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{throttled_log::ThrottledLog, tls::TlsServer};
use crate::{lifecycle::Drain, quota::ConnectionPermit};

/// What the connections of all cores share.
pub struct NetState {
    /// Bounds of connections.
    pub limits: NetLimits,
    /// The state of the shutdown.
    pub drain: Drain,
    /// The TLS server, if TLS is configured.
    pub tls: Option<TlsServer>,
    /// Throttles the log of failed accepts.
    pub accept_failures: ThrottledLog,
    open: AtomicU64,
    accepted: AtomicU64,
}

/// Bounds of connections. docs/OPERATIONS.md gives the reason of each.
#[derive(Debug, Clone)]
pub struct NetLimits {
    /// Connections served at most. Requests on further ones have the extension
    /// [`OverCapacity`](super::peer::OverCapacity).
    pub connections: usize,
    /// Connections beyond `connections` that are accepted nevertheless, so that they can be told.
    pub overflow: usize,
    /// Bytes of all headers of a request at most.
    pub headers_bytes: usize,
    /// Longest wait for a request's head, from its first byte, or from the beginning of the connection.
    pub header_timeout: Duration,
    /// Longest silence of a connection between two requests.
    pub idle_timeout: Duration,
    /// Requests at once on one HTTP/2 connection at most.
    pub h2_streams: u32,
    /// Time without frames after which an HTTP/2 connection is sent a ping.
    pub ping_interval: Duration,
    /// How long a client may leave bytes unread before its connection is closed.
    pub write_timeout: Duration,
}

/// Counts an open connection until it is dropped.
pub struct Open {
    net: Arc<NetState>,
    over_capacity: bool,
    _permit: Option<ConnectionPermit>,
}

impl NetState {
    /// The state before the first connection.
    #[must_use]
    pub fn new(limits: NetLimits, drain: Drain, tls: Option<TlsServer>) -> Self {
        let accept_failures = ThrottledLog::default();
        Self { limits, drain, tls, accept_failures, open: AtomicU64::new(0), accepted: AtomicU64::new(0) }
    }

    /// The number of open connections.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }

    /// The number of connections accepted so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Relaxed)
    }
}

impl Open {
    /// Counts a connection, which has a `permit` of its address's quota.
    #[must_use]
    pub fn new(net: &Arc<NetState>, permit: Option<ConnectionPermit>) -> Self {
        net.open.fetch_add(1, Relaxed);
        net.accepted.fetch_add(1, Relaxed);
        Self { over_capacity: net.open() > net.limits.connections as u64, net: Arc::clone(net), _permit: permit }
    }

    /// Whether it exceeds [`NetLimits::connections`]. The newest connections are refused, so that older ones are not
    /// affected.
    #[must_use]
    pub fn is_over_capacity(&self) -> bool {
        self.over_capacity
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let before = self.net.open.fetch_sub(1, Relaxed);
        debug_assert!(before > 0, "a connection counts until it is dropped");
    }
}
