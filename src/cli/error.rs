//! Why a command failed, in words for its user.

use std::io;

use super::problem::Problem;
use crate::load::{Faults, LoadError};

/// What a command ends with when it does not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The reader of stdout is gone (`| head -1`): nothing is wrong.
    #[error("nobody reads the output any more")]
    OutputClosed,
    /// stdout cannot be written.
    #[error("cannot write to stdout: {0}")]
    Output(io::Error),
    /// stdin cannot be read, or is no event.
    #[error("cannot read stdin: {0}")]
    Input(io::Error),
    /// `--url` is no hub's.
    #[error("{url:?} is not a hub's URL: {problem}")]
    Url {
        /// As it was given.
        url: String,
        /// What to write instead.
        problem: &'static str,
    },
    /// No connection.
    #[error("cannot reach the hub at {url}: {reason}; is it running? `gapless serve` starts one")]
    Unreachable {
        /// Where it was sought.
        url: String,
        /// What the system said.
        reason: io::Error,
    },
    /// A connection that was there is not any more.
    #[error("the connection to the hub broke: {0}")]
    Broken(String),
    /// The hub said no.
    #[error("{0}")]
    Refused(Problem),
    /// Whatever answered is no hub.
    #[error("what answered is not a gapless hub: {0}")]
    NotAHub(String),
    /// A load was given up.
    #[error("the load was given up: {error}{hint}")]
    Load {
        /// Why.
        error: LoadError,
        /// What may be behind it.
        hint: &'static str,
    },
    /// What a hub must not do.
    #[error("the hub did not keep its promise: {0}")]
    Faults(Faults),
    /// Too many connections for one process.
    #[error(
        "{wanted} connections are too many for this process, {fits} fit: raise the limit on open files (ulimit -n)"
    )]
    Descriptors {
        /// Asked for.
        wanted: usize,
        /// What the limit leaves.
        fits: usize,
    },
    /// No token could be made, or one that was to be explained is not good.
    #[error("{0}")]
    Token(String),
    /// Some lines were not published.
    #[error("{0}")]
    Unconfirmed(String),
}

impl CliError {
    /// What the process exits with: 0 when the reader of stdout had enough, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        u8::from(!matches!(self, Self::OutputClosed))
    }

    /// From what ended a load on the hub at `url`.
    pub(super) fn from_load(error: LoadError, url: &str) -> Self {
        let hint = match error {
            LoadError::Connect { reason, .. } => return Self::Unreachable { url: url.into(), reason },
            LoadError::Broken { .. } => {
                "; a hub that is full (http.connections) or draining ends streams, a proxy may too"
            }
            _ => "",
        };
        Self::Load { error, hint }
    }

    /// From an error of writing to stdout.
    pub(super) fn output(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Output(error),
        }
    }

    /// From an error of HTTP, with its causes: hyper's own words are short of them.
    pub(super) fn broken(error: &hyper::Error) -> Self {
        let mut words = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            words = format!("{words}: {error}");
            cause = error.source();
        }
        Self::Broken(words)
    }
}
