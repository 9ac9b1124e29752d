//! Why a load could not be made, or had to be given up.

use std::{io, net::SocketAddr};

/// What ends a run early. Lost, doubled and reordered events do not: they are counted.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No connection, or no thousands of them.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        reason: io::Error,
    },
    /// A connection that was there is not any more.
    #[error("{who} lost its connection: {reason}")]
    Broken {
        /// A stream or a publisher.
        who: &'static str,
        /// What the system said.
        reason: io::Error,
    },
    /// The server said no.
    #[error("{who} was answered {status}: {text}")]
    Refused {
        /// A stream or a publisher.
        who: &'static str,
        /// The status.
        status: u16,
        /// The beginning of what it said.
        text: String,
    },
    /// Bytes that are no answer as HTTP or this server's protocol has it.
    #[error("{who} cannot read the answer: {what}")]
    Unreadable {
        /// A stream or a publisher.
        who: &'static str,
        /// What was found.
        what: String,
    },
    /// A stream did not begin in time.
    #[error("{missing} streams were not answered within {seconds} s")]
    Late {
        /// How many.
        missing: usize,
        /// How long they had.
        seconds: u64,
    },
    /// The system has no event queue to spare, or the like.
    #[error("cannot wait for sockets: {0}")]
    Poll(io::Error),
}

impl LoadError {
    /// The other side hung up.
    pub(super) fn hung_up(who: &'static str) -> Self {
        Self::Broken { who, reason: io::ErrorKind::UnexpectedEof.into() }
    }
}
