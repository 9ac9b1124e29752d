//! The arguments of every command that connects to a hub.

use std::{fmt, path::PathBuf};

/// The arguments of every command that connects to a hub.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "The hub")]
pub(in crate::cli) struct HubArgs {
    /// The hub's URL: http://, https://, or unix:/ and the path of its socket
    #[arg(long, env = "GAPLESS_URL", default_value = "http://127.0.0.1:8080")]
    pub(in crate::cli) url: String,
    /// Read the token from a file, again for each connection, so that it can be replaced
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    pub(super) token_file: Option<PathBuf>,
    /// Use this token. All users of this machine can read a command line: prefer --token-file or GAPLESS_TOKEN
    // Without clap's `env`: the flag for a file must override the variable, and help must not print its value.
    #[arg(long, allow_hyphen_values = true)]
    pub(super) token: Option<Secret>,
    /// Send the token unencrypted, over http:// to another machine
    #[arg(long)]
    pub(super) insecure_token: bool,
    /// Trust the certificates in this PEM file in addition to the system's
    #[arg(long, value_name = "FILE", env = "GAPLESS_CA")]
    pub(super) ca: Option<PathBuf>,
}

/// A token from the command line. `Debug` does not print it.
#[derive(Clone)]
pub(super) struct Secret(pub(super) String);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
