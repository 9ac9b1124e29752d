//! Who is at the other end of a connection.

use std::net::SocketAddr;

/// What every request's extensions say of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Where the connection comes from: a client, or the last proxy before the hub.
    pub address: SocketAddr,
    /// Whether the request came over the hub's own TLS.
    pub secure: bool,
    /// To which of the hub's addresses it came.
    pub side: ListenerRole,
}

/// One of the hub's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenerRole {
    /// The one for everybody.
    Public,
    /// The one for operators alone.
    Operators,
}

/// Where operators look at the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminListener {
    /// At the address for everybody, with the grant `admin`.
    AmongAll,
    /// At an address of their own, with the grant `admin`.
    Apart,
    /// At an address of their own on the loopback, where the machine's users are trusted.
    ApartFree,
}
