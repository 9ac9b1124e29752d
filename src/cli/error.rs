//! Why a command failed, in words for its user.

use std::{io, path::PathBuf};

use super::{client::Untrusted, problem::HubProblem};
use crate::load::{DeliveryFaults, LoadError};

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
    /// A token that cannot be one, or is not there. Its value is in no message.
    #[error("the token of {from} cannot be used: {problem}")]
    Token {
        /// Where it was sought: an option, a variable, or a file.
        from: String,
        /// What is wrong.
        problem: String,
    },
    /// A token that others could read on its way.
    #[error(
        "over {url} everyone on the way could read the token; use https://, or --insecure-token if nobody is on that way"
    )]
    InTheClear {
        /// The hub's URL.
        url: String,
    },
    /// `--ca` names no certificates.
    #[error("--ca {path:?} cannot be used: {problem}")]
    Ca {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// No issuer of certificates is trusted.
    #[error("this machine trusts no issuer of certificates{cause}; name some with --ca or SSL_CERT_FILE")]
    NoRoots {
        /// What the system said, in parentheses; or nothing.
        cause: String,
    },
    /// Whoever answered could not show to be the hub.
    #[error("no trust in {url}: {problem}")]
    Untrusted {
        /// The hub's URL.
        url: String,
        /// Why not, and what to do.
        problem: String,
    },
    /// A proxy of the environment is none. Its value may hold a password.
    #[error("the proxy in {name} cannot be used: {problem}; unset it, or name the hub in NO_PROXY")]
    Proxy {
        /// The variable.
        name: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// The load generator has no TLS.
    #[error(
        "a bench speaks http:// only, for its own TLS would be in the figures, and a hub with TLS answers to nothing else; \
         load one without TLS: `gapless serve --listen 127.0.0.1:8081 --data DIR` with a new directory starts it"
    )]
    NoTls,
    /// The load generator connects by itself.
    #[error(
        "a bench goes to the hub straight over TCP; name its http:// URL, and name it in NO_PROXY if there is a proxy"
    )]
    NoDetour,
    /// A connection that was there is not any more.
    #[error("the connection to the hub broke: {0}")]
    Broken(String),
    /// The hub said no.
    #[error("{0}{hint}", hint = .0.hint())]
    Refused(HubProblem),
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
    Faults(DeliveryFaults),
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
    TokenCommand(String),
    /// What was to be changed is not there.
    #[error("{0}")]
    Nothing(String),
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

    /// From an error of connecting to the hub at `url`.
    pub(super) fn from_dial(reason: io::Error, url: &str) -> Self {
        match Untrusted::of(&reason) {
            Some(problem) => Self::Untrusted { url: url.into(), problem: problem.to_string() },
            None => Self::Unreachable { url: url.into(), reason },
        }
    }

    /// From what ended a load on the hub at `url`.
    pub(super) fn from_load(error: LoadError, url: &str) -> Self {
        let hint = match error {
            LoadError::Connect { reason, .. } => return Self::Unreachable { url: url.into(), reason },
            LoadError::Broken { .. } => {
                "; a hub that is full (http.connections) or draining ends streams, a proxy may too"
            }
            LoadError::Refused { status: status @ (401 | 403), .. } => hint(status),
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

/// What whoever was refused with `status` over a token may do next.
pub(super) fn hint(status: u16) -> &'static str {
    match status {
        401 => "; give a token with --token-file or GAPLESS_TOKEN, `gapless token --explain -` says what it opens",
        403 => "; `gapless token --explain -` says what a token opens",
        _ => "",
    }
}
