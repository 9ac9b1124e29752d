//! Errors that end a load early.

use std::{io, net::SocketAddr};

/// Why a run ended early. Lost, duplicated and reordered events are not errors: they are counted.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A connection cannot be opened.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// The server.
        address: SocketAddr,
        /// The error of the system.
        reason: io::Error,
    },
    /// An open connection was lost.
    #[error("{who} lost its connection: {reason}")]
    Broken {
        /// A stream or a publisher.
        who: &'static str,
        /// The error of the system.
        reason: io::Error,
    },
    /// The server refused a request.
    #[error("{who} got status {status}: {text}")]
    Refused {
        /// A stream or a publisher.
        who: &'static str,
        /// The status.
        status: u16,
        /// The beginning of the response body.
        text: String,
    },
    /// The response is not valid HTTP, or not of this server's protocol.
    #[error("{who} got an invalid response: {what}")]
    Unreadable {
        /// A stream or a publisher.
        who: &'static str,
        /// What is invalid.
        what: String,
    },
    /// Streams got no response in time.
    #[error("{missing} streams got no response within {seconds} s")]
    Late {
        /// Number of these streams.
        missing: usize,
        /// The time limit in seconds.
        seconds: u64,
    },
    /// The system refuses an event queue, or polling it failed.
    #[error("cannot wait for sockets: {0}")]
    Poll(io::Error),
}

impl LoadError {
    /// The server closed the connection.
    pub(super) fn closed(who: &'static str) -> Self {
        Self::Broken { who, reason: io::ErrorKind::UnexpectedEof.into() }
    }
}
