//! What opens connections.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

/// Opens connections. Tests implement it with a scripted hub.
pub trait Dial {
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Opens a connection.
    fn dial(&self) -> impl Future<Output = io::Result<Self::Io>>;
}
