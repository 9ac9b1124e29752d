//! Who is at the other end of a connection.

use std::net::SocketAddr;

/// What every request's extensions say of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Where the connection comes from: a client, or the last proxy before the hub.
    pub address: SocketAddr,
    /// Whether the request came over the hub's own TLS.
    pub secure: bool,
}
