//! The wire formats of the providers: one file each.
//!
//! A [`Dialect`] describes requests: what is a generation, where credentials stand, the shape of an error. A
//! [`GenerationApi`] describes the stream that answers one: its framing, what its frames mean, its end.
//!
//! | file | idea |
//! |---|---|
//! | `registry` | all dialects and APIs by their names |
//! | `facts` | what a request body says, and how it is made to stream |
//! | `paths` | which paths are safe to compare, and the prefixes of compatible services |
//! | `openai`, `anthropic`, `gemini`, `ollama` | one dialect each: endpoints, credentials, headers, errors, its APIs |
//! | `openai_chat`, `openai_responses`, `anthropic_messages`, `gemini_generate`, `ollama_lines` | what the frames of an API mean |
//! | `whole_answer` | answers without a stream |
//! | `json`, `errors`, `calls`, `until_end` | what these share: lenient JSON, errors, tool calls in order, the one end |

mod anthropic;
mod anthropic_messages;
mod calls;
mod errors;
mod facts;
mod gemini;
mod gemini_generate;
mod json;
mod ollama;
mod ollama_lines;
mod openai;
mod openai_chat;
mod openai_responses;
mod paths;
mod registry;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod until_end;
mod whole_answer;

use std::fmt;

pub use facts::{FactsError, RequestFacts, streaming_body};
pub use paths::is_plain;
pub use registry::{ALL, api_by_name, by_name};
pub use whole_answer::{usage_of, whole_answer_api};

use http::{HeaderMap, Method};

use super::{
    ending::{RunEnded, TokenUsage},
    frames::{Framing, UpstreamFrame},
};

/// The wire format of a provider.
pub trait Dialect: Sync + 'static {
    /// Its name in the configuration: `openai`.
    fn name(&self) -> &'static str;

    /// What a request asks for. `path` starts with `/` and is the provider's own, without a query.
    fn endpoint(&self, method: &Method, path: &str, facts: &RequestFacts) -> EndpointKind;

    /// The model of a request whose path names it.
    fn model_in_path<'p>(&self, _path: &'p str) -> Option<&'p str> {
        None
    }

    /// The path of a generation by `model`, for `POST /runs` without a path.
    fn default_path(&self, model: &str) -> String;

    /// The query of a streaming generation sent to the provider: `alt=sse` for Gemini.
    fn streaming_query(&self) -> Option<&'static str> {
        None
    }

    /// The headers, besides `Authorization`, in which its SDKs send the key, in lower case.
    fn token_header(&self) -> Option<&'static str> {
        None
    }

    /// The query parameter in which its SDKs may send the key.
    fn token_parameter(&self) -> Option<&'static str> {
        None
    }

    /// Puts the provider's key into a request, in place of every credential that it has.
    ///
    /// # Errors
    /// The key has a character that a header may not have.
    fn put_key(&self, headers: &mut HeaderMap, key: &str) -> Result<(), http::header::InvalidHeaderValue>;

    /// Names of request headers that are sent to the provider, in lower case, besides `content-type` and `accept`.
    fn request_headers(&self) -> &'static [&'static str];

    /// Whether a response header is passed on to the client, besides `content-type` and `retry-after`. `name` is in
    /// lower case.
    fn passes_response_header(&self, name: &str) -> bool;

    /// The body of an error response, as JSON. `code` is the hub's problem code.
    fn error_body(&self, status: u16, code: &str, message: &str) -> String;
}

/// What a request asks for.
#[derive(Clone, Copy)]
pub enum EndpointKind {
    /// A generation that is answered by a stream.
    Stream(&'static dyn GenerationApi),
    /// A generation that is answered at once.
    Answer,
    /// Something else that an SDK calls: models, embeddings, token counts.
    PassThrough,
    /// Something that the key could reach and the relay does not pass on, unless the configuration opens it.
    Closed,
}

/// The stream that answers a generation.
pub trait GenerationApi: Sync + 'static {
    /// Its name, stored with each run: `openai.chat`.
    fn name(&self) -> &'static str;

    /// Its dialect.
    fn dialect(&self) -> &'static dyn Dialect;

    /// Whether its answer is no stream: the frames are parts of one body.
    fn is_whole(&self) -> bool {
        false
    }

    /// The framing of the provider's stream.
    fn framing(&self) -> Framing;

    /// The model of a request whose path names it.
    fn model_in_path<'p>(&self, path: &'p str) -> Option<&'p str> {
        self.dialect().model_in_path(path)
    }

    /// The request's body, changed so that a stream answers it.
    ///
    /// # Errors
    /// It is not one JSON object, or what it says could be understood in two ways.
    fn streaming_request(&self, request: &str) -> Result<String, FactsError> {
        streaming_body(request)
    }

    /// A reader of one run's frames.
    fn reader(&self) -> Box<dyn PartReader>;

    /// Whether its stream has an end marker. One without, as Gemini's, is complete when it is closed after a
    /// [`Part::Finish`].
    fn has_end_marker(&self) -> bool {
        true
    }

    /// Whether its clients accept an SSE `id:` on every frame.
    fn carries_ids(&self) -> bool;

    /// Bytes that keep an idle stream open and that its clients ignore; `None` when they accept none.
    fn keepalive(&self) -> Option<&'static str>;

    /// The frame that makes its clients raise an error, for an ending other than `completed`. `message` says what
    /// happened.
    fn error_frame(&self, ended: &RunEnded, message: &str) -> UpstreamFrame;
}

/// Reads the frames of one run, in order.
pub trait PartReader: Send {
    /// Appends what the frame means to `parts`: nothing when it is unknown. Never fails.
    fn read(&mut self, name: &str, data: &str, parts: &mut Vec<Part>);
}

/// A part of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Text of the answer.
    Text(TextPart),
    /// Text of the model's reasoning.
    Reasoning(TextPart),
    /// A tool call, or more of its arguments.
    Tool {
        /// Its number in the answer, from 0.
        index: u32,
        /// Its id, with its first part.
        id: Option<String>,
        /// The tool's name, with its first part.
        name: Option<String>,
        /// More of its arguments, as JSON text.
        arguments: String,
    },
    /// An image.
    Image(MediaPart),
    /// Audio, or more of it.
    Audio(MediaPart),
    /// Token counts up to now; each replaces the earlier ones that it has. `source` is not set.
    Usage(TokenUsage),
    /// The provider's id of the response.
    ResponseId(String),
    /// Why the model stopped, as the provider calls it. For Gemini this is also the end.
    Finish(String),
    /// The provider's end: the stream is complete.
    End,
    /// The provider reports an error: the run has failed.
    Error {
        /// The provider's code or type; empty when it has none.
        code: String,
        /// Its message.
        message: String,
    },
}

impl Part {
    /// Token counts, if at least one is known.
    fn usage(input: Option<u64>, output: Option<u64>) -> Option<Self> {
        let is_known = input.is_some() || output.is_some();
        is_known.then(|| Self::Usage(TokenUsage { input, output, ..TokenUsage::default() }))
    }
}

/// A piece of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextPart {
    /// The alternative answer that it belongs to, from 0.
    pub choice: u32,
    /// The block of the answer, from 0.
    pub block: u32,
    /// The text.
    pub text: String,
}

/// A piece of an image or of audio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaPart {
    /// Its media type.
    pub mime: String,
    /// Base64.
    pub data: String,
}

impl fmt::Debug for dyn Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for dyn GenerationApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
