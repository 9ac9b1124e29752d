//! Everything that goes wrong.

use std::{io, path::PathBuf, sync::Arc};

use crate::problem::HubProblem;

/// An error of a caller's function: of a token function, or of a cursor store.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why something with a hub failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// It is not a valid URL of a hub.
    #[error("{url:?} is not a hub's URL: {problem}")]
    Url {
        /// As it was given, without what may be secret.
        url: String,
        /// What to write instead.
        problem: &'static str,
    },
    /// The token would be sent unencrypted.
    #[error("the token would be sent unencrypted to {url}; use https://, or allow it if you trust the network")]
    InTheClear {
        /// The hub's URL.
        url: String,
    },
    /// The token is invalid, or its file cannot be read. No message contains its value.
    #[error("the token of {from} cannot be used: {problem}")]
    Token {
        /// Its source.
        from: String,
        /// What is wrong.
        problem: String,
    },
    /// The caller's function got no token. It is called again later.
    #[error("there is no token yet: {0}")]
    TokenLater(#[source] BoxError),
    /// The caller's function got no token, and is not called again.
    #[error("there is no token: {0}")]
    TokenFunction(#[source] BoxError),
    /// A file of certificates cannot be used.
    #[error("the certificates in {path:?} cannot be used: {problem}")]
    Ca {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// There is no trusted root certificate.
    #[error("this machine has no trusted root certificates{cause}")]
    NoRoots {
        /// The system's error in parentheses, or empty.
        cause: String,
    },
    /// A proxy variable of the environment is invalid. Its value is not repeated, because it may contain a password.
    #[error("the proxy in {name} cannot be used: {problem}; unset it, or name the hub in NO_PROXY")]
    Proxy {
        /// The variable.
        name: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// The connection failed.
    #[error("cannot reach the hub at {url}: {reason}")]
    Unreachable {
        /// The hub's URL.
        url: String,
        /// The system's error.
        reason: io::Error,
    },
    /// The server's certificate is not trusted, or the TLS handshake failed.
    #[error("cannot make a trusted connection to {url}: {reason}")]
    Untrusted {
        /// The hub's URL.
        url: String,
        /// The error of the handshake.
        reason: io::Error,
    },
    /// An established connection broke.
    #[error("the connection to the hub broke: {0}")]
    Broken(String),
    /// The hub refused, or another server on the way to it.
    #[error("{0}")]
    Refused(HubProblem),
    /// The server is not a gapless hub. A retry would get the same.
    #[error("the server is not a gapless hub: {0}")]
    NotAHub(String),
    /// A publish ended without a receipt: it may have been published, or not. The same request with the same key tells, as
    /// long as the hub remembers the key.
    #[error("it may have been published, or not: {cause}; it is safe to send it again with the key {key}")]
    Uncertain {
        /// Its `Idempotency-Key`.
        key: String,
        /// What ended it.
        cause: Box<ClientError>,
    },
    /// A publish stream has failed; what waited is not sent. The last events of the topic tell how far it came.
    #[error("the publish stream has failed: {0}")]
    Stream(#[source] Arc<ClientError>),
    /// A publish stream is closed, and takes no more.
    #[error("the publish stream is closed")]
    Closed,
    /// Data cannot be written as JSON.
    #[error("the data cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// An option has a value that cannot be sent.
    #[error("{0}")]
    Option(&'static str),
    /// The system has no random numbers for a key.
    #[error("no random key: {0}")]
    Random(io::Error),
    /// The caller's cursor store failed.
    #[error("the cursor store failed: {0}")]
    Store(#[source] BoxError),
}

impl ClientError {
    /// The hub's problem, also inside [`Uncertain`](Self::Uncertain) and [`Stream`](Self::Stream).
    #[must_use]
    pub fn problem(&self) -> Option<&HubProblem> {
        match self {
            Self::Refused(problem) => Some(problem),
            Self::Uncertain { cause, .. } => cause.problem(),
            Self::Stream(cause) => cause.problem(),
            _ => None,
        }
    }

    /// From an error of hyper, with its causes, which its `Display` leaves out.
    pub(crate) fn broken(error: &hyper::Error) -> Self {
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            message = format!("{message}: {error}");
            cause = error.source();
        }
        Self::Broken(message)
    }
}
