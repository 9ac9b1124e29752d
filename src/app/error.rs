//! Why the hub did not start, or did not end cleanly.

use std::io;

use crate::{
    config::ConfigErrors,
    engine::{jetstream::JetStreamError, sled::OpenError},
    http::net::listen::ListenError,
    lifecycle::descriptors::LimitTooLow,
    relay::recovery::RecoverError,
};

/// Why the hub did not start. `Display` says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The stream of the engine jetstream cannot be used.
    #[error("{0}; `gapless check` tells what is wrong with the servers and the stream")]
    JetStream(#[from] JetStreamError),
    /// A stop signal came, and the drain was over before the store was open.
    #[error("a stop signal came before the store was open; no stored event is lost")]
    NotOpened,
    /// The store did not close in time.
    #[error(
        "the disk does not respond, so the store could not be closed cleanly: every acknowledged event is stored; others may \
         be stored or not, and the next start recovers them"
    )]
    NotClosed,
    /// An address cannot be bound.
    #[error("{error}; choose another with {flag}")]
    Listen {
        /// The address and the reason.
        error: ListenError,
        /// The flag that sets the address.
        flag: &'static str,
    },
    /// The limit on open files is too low.
    #[error(transparent)]
    Descriptors(#[from] LimitTooLow),
    /// The configuration is valid and cannot be used: access control whose files have changed since it was read, or
    /// retention limits that the engine does not have.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The certificate, or the ACME configuration, cannot be used.
    #[error("TLS: {}", .0.join("; "))]
    Tls(Vec<String>),
    /// A provider of the relay cannot be used: its key is missing, or it cannot be connected to.
    #[error("relay.providers.{name}: {problem}")]
    Provider {
        /// The provider's name.
        name: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The runs of earlier processes cannot be read, or not be ended.
    #[error(transparent)]
    Relay(#[from] RecoverError),
    /// The system refuses a thread or an event queue.
    #[error("cannot start: {0}")]
    Thread(#[from] io::Error),
}
