//! The errors of the commands, with messages for their users.

use std::{io, path::PathBuf};

use super::{
    problem::{HubProblem, hint, hint_of},
    stop::StopSignal,
};
use crate::{
    backup::BackupError,
    export::ExportError,
    load::{DeliveryFaults, LoadError},
};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The reader of stdout has closed it (`| head -1`). This is not a failure.
    #[error("the output was closed by its reader")]
    OutputClosed,
    /// stdout cannot be written to.
    #[error("cannot write to stdout: {0}")]
    Output(io::Error),
    /// stdin cannot be read, or is not a valid event.
    #[error("cannot read stdin: {0}")]
    Input(io::Error),
    /// A file of `--file` cannot be read.
    #[error("cannot read {path:?}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// `--key` with several files.
    #[error("--key is for one event; several files are published with keys of their own, so that a retry adds nothing")]
    KeyOfFiles,
    /// `--content-type` with several files.
    #[error("--content-type is for one event; publish one file at a time with it")]
    TypeOfFiles,
    /// `--url` is not a valid URL of a hub.
    #[error("{url:?} is not a hub's URL: {problem}")]
    Url {
        /// As it was given.
        url: String,
        /// What to write instead.
        problem: &'static str,
    },
    /// The connection failed.
    #[error("cannot reach the hub at {url}: {reason}; is it running? `gapless serve` starts one")]
    Unreachable {
        /// The URL.
        url: String,
        /// The system's error.
        reason: io::Error,
    },
    /// The token is invalid or missing. No message contains its value.
    #[error("the token of {from} cannot be used: {problem}")]
    Token {
        /// Its source: an option, a variable, or a file.
        from: String,
        /// What is wrong.
        problem: String,
    },
    /// The token would be sent unencrypted.
    #[error("the token would be sent unencrypted to {url}; use https://, or --insecure-token if you trust the network")]
    InTheClear {
        /// The hub's URL.
        url: String,
    },
    /// The file of `--ca` has no usable certificates.
    #[error("--ca {path:?} cannot be used: {problem}")]
    Ca {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// There is no trusted root certificate.
    #[error("this machine has no trusted root certificates{cause}; give some with --ca or SSL_CERT_FILE")]
    NoRoots {
        /// The system's error in parentheses, or empty.
        cause: String,
    },
    /// The server's certificate is not trusted, or the TLS handshake failed.
    #[error("cannot make a trusted connection to {url}: {problem}")]
    Untrusted {
        /// The hub's URL.
        url: String,
        /// Why not, and what to do.
        problem: String,
    },
    /// A proxy variable of the environment is invalid. Its value is not repeated, because it may contain a password.
    #[error("the proxy in {name} cannot be used: {problem}; unset it, or name the hub in NO_PROXY")]
    Proxy {
        /// The variable.
        name: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// The load generator does not support TLS.
    #[error(
        "bench supports http:// only, because its own TLS would affect the figures, and a hub with TLS accepts nothing else; \
         start a hub without TLS for it: `gapless serve --listen 127.0.0.1:8081 --data DIR` with a new directory"
    )]
    NoTls,
    /// The load generator connects over TCP, without a proxy.
    #[error(
        "bench connects to the hub directly over TCP; give its http:// URL, and add its host to NO_PROXY if a proxy is set"
    )]
    NoDetour,
    /// An established connection broke.
    #[error("the connection to the hub broke: {0}")]
    Broken(String),
    /// The hub refused the request.
    #[error("{0}{hint}", hint = hint_of(.0))]
    Refused(HubProblem),
    /// The server is not a gapless hub.
    #[error("the server is not a gapless hub: {0}")]
    NotAHub(String),
    /// The load generator failed.
    #[error("the load was aborted: {error}{hint}")]
    Load {
        /// Why.
        error: LoadError,
        /// A possible cause, or empty.
        hint: &'static str,
    },
    /// Events were lost, duplicated or reordered.
    #[error("the hub did not deliver correctly: {0}")]
    Faults(DeliveryFaults),
    /// The limit on open files is too low.
    #[error(
        "{wanted} connections need more open files than this process may have ({fits} fit); raise the limit (ulimit -n)"
    )]
    Descriptors {
        /// The requested number of connections.
        wanted: usize,
        /// How many the limit allows.
        fits: usize,
    },
    /// No token could be created, or the explained token is not valid or lacks a permission.
    #[error("{0}")]
    TokenCommand(String),
    /// The object of the command does not exist.
    #[error("{0}")]
    Nothing(String),
    /// The file of `--state` cannot be used.
    #[error("the state file {path:?} cannot be used: {problem}")]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// `gapless top` draws on a terminal, and stdout is none.
    #[error("top needs a terminal, and stdout is none; use --once to print the statistics as text")]
    NoTerminal,
    /// `--keep` with an archive.
    #[error("--keep is for a directory of backups; an archive holds one, and replaces the one before")]
    KeepOfArchive,
    /// `--data` of a restore is a directory of backups.
    #[error("--data {data:?} is in the backups of {backups:?}; name another directory for the store")]
    RestoreIntoBackups {
        /// As it was given.
        data: PathBuf,
        /// The directory of backups.
        backups: PathBuf,
    },
    /// A backup cannot be written or read.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The file of an export cannot be used.
    #[error(transparent)]
    Export(ExportError),
    /// Some events are not exported.
    #[error("{0}")]
    NotExported(String),
    /// Some events of an export are not imported.
    #[error("{0}")]
    NotImported(String),
    /// The process was asked to end, and has done what it had to do before. This is not a failure.
    #[error("ended by {0}")]
    Stopped(StopSignal),
    /// The handlers of signals cannot be installed.
    #[error("cannot install the signal handlers: {0}")]
    Signals(io::Error),
    /// Some lines were not published.
    #[error("{0}")]
    Unconfirmed(String),
}

impl From<ExportError> for CliError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Io { reason, .. } if reason.kind() == io::ErrorKind::BrokenPipe => Self::OutputClosed,
            error => Self::Export(error),
        }
    }
}

impl CliError {
    /// The exit code: 0 when the reader has closed stdout, that of the signal after an orderly end, 2 for a wrong command
    /// line, 75 when another backup is being made, or the file is in use, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::Stopped(signal) => signal.exit_code(),
            Self::KeyOfFiles | Self::TypeOfFiles | Self::KeepOfArchive | Self::RestoreIntoBackups { .. } => 2,
            Self::Backup(BackupError::InUse(_)) | Self::Export(ExportError::InUse(_)) => 75,
            Self::Refused(problem) if problem.code() == Some("backup-running") => 75,
            _ => 1,
        }
    }

    /// Whether it is no failure, so that nothing is to be printed.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        matches!(self, Self::OutputClosed | Self::Stopped(_))
    }

    /// From the error of a load on the hub at `url`.
    pub(super) fn from_load(error: LoadError, url: &str) -> Self {
        let hint = match error {
            LoadError::Connect { reason, .. } => return Self::Unreachable { url: url.into(), reason },
            LoadError::Broken { .. } => {
                "; a hub that is draining or has reached http.connections closes streams, and so may a proxy"
            }
            LoadError::Refused { status: status @ (401 | 403), .. } => hint(status),
            _ => "",
        };
        Self::Load { error, hint }
    }

    /// From a failed write to stdout.
    pub(super) fn output(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Output(error),
        }
    }

    /// From an error of hyper, with its causes, which its `Display` leaves out.
    pub(super) fn broken(error: &hyper::Error) -> Self {
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            message = format!("{message}: {error}");
            cause = error.source();
        }
        Self::Broken(message)
    }
}
