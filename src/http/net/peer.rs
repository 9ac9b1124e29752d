//! The remote end of a connection.

use std::net::SocketAddr;

/// The connection of a request: an extension of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The remote address: of the client, or of the last proxy before the hub.
    pub address: SocketAddr,
    /// Whether the hub itself terminates TLS for this connection.
    pub secure: bool,
    /// The listener that accepted the connection.
    pub listener: ListenerRole,
}

/// What a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenerRole {
    /// All clients.
    Public,
    /// Operators only: statistics, metrics and health.
    Operators,
}

impl ListenerRole {
    /// Its name in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Operators => "operators",
        }
    }
}

/// A request extension: the connection exceeds [`NetLimits::connections`](super::state::NetLimits::connections).
#[derive(Debug, Clone, Copy)]
pub struct OverCapacity;
