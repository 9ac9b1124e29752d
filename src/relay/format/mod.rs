//! The events of a run as the bytes of a response.
//!
//! An [`AnswerEncoder`] is given the events of one run, from its first one on, and writes them in one format. It holds no
//! more than the state of the answer: which blocks are open, and what waits to be merged.

/// How a run is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// The provider's own stream.
    Raw,
    /// SSE with one shape for all dialects.
    #[default]
    Events,
    /// The same as lines of JSON.
    Ndjson,
    /// The answer's text alone.
    Text,
    /// The UI message stream of Vercel's AI SDK, version 1.
    AiSdk,
}
