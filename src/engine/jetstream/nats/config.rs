//! Where the servers are, and who we are to them.

use std::{fmt, path::PathBuf};

/// How to reach the servers, and the names that the stream has there.
#[derive(Clone, Debug)]
pub struct NatsConfig {
    /// At least one: `nats://host:4222`, `tls://host`, or without a scheme. Further servers of the cluster are found by
    /// the client. No user in the URL: async-nats would ignore it.
    pub servers: Vec<String>,
    /// How to log in.
    pub credentials: NatsCredentials,
    /// A PEM file of certificates to trust instead of the system's; also requires TLS.
    pub roots: Option<PathBuf>,
    /// Shown by the server in its list of connections.
    pub client_name: String,
    /// The stream's name.
    pub stream: Box<str>,
    /// The first token of every subject of the stream.
    pub prefix: Box<str>,
}

/// How the client logs in.
#[derive(Clone)]
pub enum NatsCredentials {
    /// Not at all.
    None,
    /// A `.creds` file: a JWT and the seed of its key.
    File(PathBuf),
    /// A file with the seed of an NKEY, and nothing else but white space.
    NKeySeed(PathBuf),
    /// By name and password.
    UserPassword {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// By a token.
    Token(String),
}

impl fmt::Debug for NatsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::NKeySeed(path) => f.debug_tuple("NKeySeed").field(path).finish(),
            Self::UserPassword { user, .. } => {
                f.debug_struct("UserPassword").field("user", user).finish_non_exhaustive()
            }
            Self::Token(_) => f.write_str("Token"),
        }
    }
}
