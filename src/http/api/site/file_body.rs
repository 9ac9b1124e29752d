//! A file as a response body, read in chunks off the core's thread.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{lookup::SiteFile, reads::SiteReads};
use crate::http::net::response::Aborted;

/// Bytes of one read: a client that stalls holds no more of a file than one, beside what hyper has buffered.
const CHUNK_BYTES: u64 = 64 << 10;

/// The next chunk of a file.
type ChunkRead = Pin<Box<dyn Future<Output = Result<Bytes, Aborted>>>>;

/// The content of a file, of the length that it had when it was opened. If it has become shorter meanwhile, or cannot be
/// read, the response is broken off.
pub struct FileBody {
    file: Arc<File>,
    reads: Arc<SiteReads>,
    at: u64,
    length: u64,
    reading: Option<ChunkRead>,
}

impl FileBody {
    /// The content of `file`, of which nothing is read yet.
    #[must_use]
    pub fn new(file: SiteFile, reads: Arc<SiteReads>) -> Self {
        Self { file: Arc::new(file.file), reads, at: 0, length: file.length, reading: None }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        if self.at == self.length {
            return Poll::Ready(None);
        }
        let (file, reads, at) = (Arc::clone(&self.file), Arc::clone(&self.reads), self.at);
        let bytes = (self.length - at).min(CHUNK_BYTES);
        let reading = self.reading.get_or_insert_with(|| Box::pin(chunk(reads, file, at, bytes)));
        let chunk = ready!(reading.as_mut().poll(cx));
        self.reading = None;
        self.at += bytes;
        Poll::Ready(Some(chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.at == self.length
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length - self.at)
    }
}

async fn chunk(reads: Arc<SiteReads>, file: Arc<File>, at: u64, bytes: u64) -> Result<Bytes, Aborted> {
    let read = move || -> io::Result<Bytes> {
        let mut chunk = vec![0; usize::try_from(bytes).expect("at most a chunk")];
        file.read_exact_at(&mut chunk, at)?;
        Ok(chunk.into())
    };
    let broken = |error: &dyn std::fmt::Display| {
        tracing::warn!(error = %error, "a file of the site cannot be read");
        Aborted
    };
    reads.run(read).await.map_err(|error| broken(&error))?.map_err(|error| broken(&error))
}
