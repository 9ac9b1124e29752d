//! What a reader of a run asks for.

use std::time::Duration;

use crate::{event::EventId, relay::dialect::GenerationApi};

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

/// The shape of a raw response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RawShape {
    /// The framing of the API: SSE, or lines.
    #[default]
    Stream,
    /// One JSON array whose elements are the frames' data: Gemini without `alt=sse`.
    JsonArray,
}

/// One response with a run.
#[derive(Debug, Clone)]
pub struct AnswerOptions {
    /// The API of the run's provider.
    pub api: &'static dyn GenerationApi,
    /// The format.
    pub format: Format,
    /// How long deltas are merged; `None` and zero: not at all. Ignored for [`Format::Raw`].
    pub batch: Option<Duration>,
    /// The run's id.
    pub run: String,
    /// The client's cursor: events at or before it are read for their state, and not written.
    pub after: Option<EventId>,
    /// The shape, for [`Format::Raw`].
    pub raw: RawShape,
}
