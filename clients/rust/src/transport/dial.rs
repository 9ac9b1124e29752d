//! The connections of a pool, as hyper-util's client wants them.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::{
    Uri,
    rt::{Read, ReadBufCursor, Write},
};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use tokio::time::timeout;
use tower_service::Service;

use super::{Connector, byte_stream::ByteStream};

/// Opens connections to the one server of its connector, whatever URI is asked for.
#[derive(Debug, Clone)]
pub(super) struct PoolDial {
    pub connector: Arc<Connector>,
    /// For name resolution, proxy, TCP and TLS together.
    pub timeout: Duration,
}

/// A connection, and what was negotiated for it.
pub(super) struct DialedStream {
    io: TokioIo<Box<dyn ByteStream>>,
    http2: bool,
    /// Whether a forwarding proxy is at its other end, which needs absolute URLs.
    forwarded: bool,
}

impl Service<Uri> for PoolDial {
    type Response = DialedStream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<DialedStream>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { connector, timeout: limit } = self.clone();
        Box::pin(async move {
            let opened = timeout(limit, connector.open()).await.map_err(|_| {
                io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("the connection took longer than {} s", limit.as_secs_f32()),
                )
            })?;
            let (stream, http2) = opened?;
            Ok(DialedStream { io: TokioIo::new(stream), http2, forwarded: connector.forwarding().is_some() })
        })
    }
}

impl Connection for DialedStream {
    fn connected(&self) -> Connected {
        let connected = Connected::new().proxy(self.forwarded);
        if self.http2 { connected.negotiated_h2() } else { connected }
    }
}

impl Read for DialedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl Write for DialedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, buffers)
    }
}
