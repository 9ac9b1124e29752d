//! What a run's task is told, and why a run did not start.

/// Why a run did not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartFailure {
    /// There is no connection to the provider; nothing was sent.
    #[error("the provider cannot be reached: {0}")]
    Unreachable(String),
    /// The connection broke after the request was sent, or the provider's answer cannot be read. It may have been billed.
    #[error("the provider did not answer: {0}")]
    NoAnswer(String),
    /// The run cannot be stored. The provider may have been asked.
    #[error("the run cannot be stored: {0}")]
    NotStored(String),
    /// The run's key cannot be stored, and so the provider was not asked.
    #[error("the Idempotency-Key cannot be stored: {0}")]
    NotRecorded(String),
    /// Its key was used for another request at another hub.
    #[error("the Idempotency-Key was used for another request; use a new key for a new request")]
    KeyReused,
    /// Its topic has a running run of another hub.
    #[error("the run {0} is running in this topic; stop it, or wait for its end")]
    TopicBusy(String),
    /// The provider has refused the request, which another hub has sent.
    #[error("the provider has refused this request to another hub; ask again for its reason")]
    RefusedElsewhere,
    /// Its asker has reached a limit.
    #[error("the client that asked for it has reached a limit; retry in a moment")]
    Limited,
}

/// What a run's task is told to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RunCommand {
    /// Nothing.
    #[default]
    Continue,
    /// Close the provider's stream and end.
    Stop {
        /// The name of who stops it.
        by: Option<String>,
    },
    /// End the viewers' streams, and read the provider's on for its token counts.
    StopAndDrain {
        /// See [`RunCommand::Stop`].
        by: Option<String>,
    },
    /// Close the provider's stream, and write nothing more: another hub has ended the run.
    GiveUp,
}
