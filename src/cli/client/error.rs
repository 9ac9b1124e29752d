//! The client's errors as those of the commands.

use std::io;

use gapless_client::{ClientError, requests::address::HubAddress};

use super::trust;
use crate::{cli::CliError, client::connector::tls_error};

impl CliError {
    /// From an error of the client, with what to do on the side of the command line.
    pub(in crate::cli) fn of(error: &ClientError) -> Self {
        let again = |reason: &io::Error| io::Error::new(reason.kind(), reason.to_string());
        match error {
            ClientError::Url { url, problem } => Self::Url { url: url.clone(), problem },
            ClientError::InTheClear { url } => Self::InTheClear { url: url.clone() },
            ClientError::Token { from, problem } => Self::Token { from: from.clone(), problem: problem.clone() },
            ClientError::Ca { path, problem } => Self::Ca { path: path.clone(), problem: problem.clone() },
            ClientError::NoRoots { cause } => Self::NoRoots { cause: cause.clone() },
            ClientError::Proxy { name, problem } => Self::Proxy { name, problem },
            ClientError::Unreachable { url, reason } => Self::Unreachable { url: url.clone(), reason: again(reason) },
            ClientError::Untrusted { url, reason } => {
                Self::Untrusted { url: url.clone(), problem: distrust(reason, url) }
            }
            ClientError::Refused(problem) => Self::Refused(problem.clone()),
            ClientError::NotAHub(what) => Self::NotAHub(what.clone()),
            ClientError::Broken(what) => Self::Broken(what.clone()),
            // Of functions and stores, which no command has.
            other => Self::Broken(other.to_string()),
        }
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        match error {
            // The system's error itself, which carries more than its text.
            ClientError::Unreachable { url, reason } => Self::Unreachable { url, reason },
            error => Self::of(&error),
        }
    }
}

/// Why the hub at `url` is not trusted, and what to do.
fn distrust(reason: &io::Error, url: &str) -> String {
    let host = HubAddress::parse(url).map(|address| address.server.host).unwrap_or_default();
    tls_error(reason).map_or_else(|| reason.to_string(), |reason| trust::describe(reason, &host))
}
