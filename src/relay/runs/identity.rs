//! What identifies a request for a generation, and what becomes of it.

use std::sync::Arc;

use crate::{event::EventId, relay::run::Run};

/// The `Last-Event-ID` of a request for a generation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RunCursor {
    /// It has none.
    #[default]
    None,
    /// It is no id of this hub.
    Unknown,
    /// It is this one.
    At(EventId),
}

/// What identifies a request for a generation.
#[derive(Debug, Clone)]
pub struct RunIdentity {
    /// See [`RunFacts::fingerprint`](crate::relay::run::RunFacts::fingerprint).
    pub fingerprint: String,
    /// See [`RunFacts::key`](crate::relay::run::RunFacts::key).
    pub key: Option<String>,
    /// Its `Last-Event-ID`.
    pub cursor: RunCursor,
    /// Whether it says that it is a retry.
    pub retry: bool,
}

/// A request and its run.
#[derive(Debug, Clone)]
pub struct Joined {
    /// The run.
    pub run: Arc<Run>,
    /// Whether the run was entered for this request.
    pub is_new: bool,
    /// The position after which the client reads; `None` for the whole run.
    pub after: Option<EventId>,
}

/// Why a request gets no run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefused {
    /// The key was used for another request.
    #[error("the Idempotency-Key was used for another request; use a new key for a new request")]
    KeyReused,
    /// The request resumes a run that does not exist.
    #[error(
        "no run of this request has the position of its Last-Event-ID; send the request without it for a new answer"
    )]
    CursorUnknown,
    /// The topic has a running run.
    #[error("the run {0} is running in this topic; stop it, or wait for its end")]
    TopicBusy(String),
    /// As many runs as allowed are running.
    #[error("{0} runs are running, as many as this hub allows (relay.runs); retry in a moment")]
    TooMany(usize),
}
