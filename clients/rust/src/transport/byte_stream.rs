//! A connection, whatever carries it.

use tokio::io::{AsyncRead, AsyncWrite};

/// A bidirectional stream of bytes.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for T {}
