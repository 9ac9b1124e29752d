//! What went wrong, in terms of what the caller can do.

/// Why a question to NATS has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::engine) enum NatsError {
    /// The configuration cannot be used: a file that cannot be read, a malformed URL, a name that is no subject.
    #[error("{0}")]
    Setup(String),
    /// The server refused the login. To be repeated only after someone has changed something.
    #[error("the NATS server refuses the login: {0}")]
    Login(String),
    /// The server does not permit the subject; the text names it.
    #[error("the NATS server does not permit it: {0}")]
    Denied(String),
    /// The stream does not exist.
    #[error("there is no such stream")]
    NoStream,
    /// No connection, no leader or no answer in time. May succeed later, and may have been carried out.
    #[error("no answer from NATS: {0}")]
    NoAnswer(String),
    /// The server of the connection answers nothing at all: another one may.
    #[error("the NATS server of the connection does not answer")]
    Silent,
    /// The server refused it; the number is `err_code` in nats-server's `server/errors.json`, or the status of a direct get.
    #[error("NATS: {text} ({code})")]
    Refused { code: u64, text: String },
    /// The answer is not what the protocol says.
    #[error("an answer of NATS cannot be understood: {0}")]
    Malformed(String),
}

/// Why a write was not acknowledged. Only [`WriteError::Unknown`] may be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::engine) enum WriteError {
    /// Not stored: the stream's last position is another one, to the knowledge of the server that answered.
    #[error("the stream's last position is not the expected one")]
    WrongLast,
    /// Not stored: a limit of the stream, the account or the server is reached.
    #[error("the stream is full: {0}")]
    Full(String),
    /// Not stored: a message is larger than the server or the stream allows.
    #[error("the message is too large: {0}")]
    TooLarge(String),
    /// Not stored: more messages than the server allows in one batch (1000 by default).
    #[error("too many messages for one batch")]
    TooMany,
    /// Not stored; the same write may succeed later: no connection, no leader, too many open batches.
    #[error("not now: {0}")]
    NotNow(String),
    /// Not stored, and never will be.
    #[error("refused: {0}")]
    Refused(String),
    /// Not stored: the account has not the rights. The text names the subject.
    #[error("the NATS server does not permit it: {0}")]
    Denied(String),
    /// No answer in time, or one that does not decide it: may be stored now, or later.
    #[error("not known whether it was stored: {0}")]
    Unknown(String),
}

impl WriteError {
    /// Whether the same write is refused again until somebody changes a limit or a right.
    pub(in crate::engine) fn lasts(&self) -> bool {
        match self {
            Self::TooLarge(_) | Self::TooMany | Self::Refused(_) | Self::Denied(_) => true,
            Self::WrongLast | Self::Full(_) | Self::NotNow(_) | Self::Unknown(_) => false,
        }
    }
}
