//! A provider's bytes as frames.

mod bare_json;
mod splitter;

pub use splitter::FrameSplitter;

/// The framing of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `text/event-stream`.
    Sse,
    /// `application/x-ndjson`.
    Lines,
}

/// One frame of a provider's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamFrame {
    /// Its SSE event name; empty when it has none.
    pub name: String,
    /// Its data, byte for byte: the SSE data lines joined by line feeds, or the line without its end.
    pub data: String,
}

/// Why a stream cannot be read further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame has more bytes than the limit.
    #[error("a frame of the provider's stream has more than {0} bytes")]
    TooLarge(usize),
    /// A frame is not UTF-8.
    #[error("a frame of the provider's stream is not UTF-8")]
    NotUtf8,
}
