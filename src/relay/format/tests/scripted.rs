//! An API whose frames are a script: each line of a frame's data is a part.
//!
//! `block N` sets the block of the texts that follow, also in later frames: a reader that has not read it would give
//! other parts.

use http::{HeaderMap, Method};

use crate::relay::{
    dialect::{Dialect, EndpointKind, GenerationApi, MediaPart, Part, PartReader, RequestFacts, TextPart},
    ending::{RunEnded, TokenUsage},
    frames::{Framing, UpstreamFrame},
};

/// An API.
pub(super) struct ScriptedApi {
    framing: Framing,
    ids: bool,
    keepalive: Option<&'static str>,
}

/// As OpenAI's: SSE that may carry ids and comments.
pub(super) static IDS: ScriptedApi = ScriptedApi { framing: Framing::Sse, ids: true, keepalive: Some(":\n") };

/// As Gemini's: SSE with nothing but data.
pub(super) static BARE: ScriptedApi = ScriptedApi { framing: Framing::Sse, ids: false, keepalive: None };

/// As Ollama's.
pub(super) static LINES: ScriptedApi = ScriptedApi { framing: Framing::Lines, ids: false, keepalive: None };

impl GenerationApi for ScriptedApi {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn dialect(&self) -> &'static dyn Dialect {
        &ScriptedDialect
    }

    fn framing(&self) -> Framing {
        self.framing
    }

    fn reader(&self) -> Box<dyn PartReader> {
        Box::new(ScriptReader { block: 0 })
    }

    fn carries_ids(&self) -> bool {
        self.ids
    }

    fn keepalive(&self) -> Option<&'static str> {
        self.keepalive
    }

    fn error_frame(&self, ended: &RunEnded, message: &str) -> UpstreamFrame {
        let code = ended.error.as_ref().map_or("", |error| &error.code);
        UpstreamFrame { name: "error".into(), data: format!("error {code} {message}") }
    }
}

struct ScriptReader {
    block: u32,
}

impl PartReader for ScriptReader {
    fn read(&mut self, _: &str, data: &str, parts: &mut Vec<Part>) {
        for line in data.split('\n') {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let (first, text) = rest.split_once(' ').unwrap_or((rest, ""));
            let number = first.parse().unwrap_or(0);
            let piece = || TextPart { choice: number, block: self.block, text: text.into() };
            let media = || MediaPart { mime: first.into(), data: text.into() };
            parts.push(match word {
                "block" => {
                    self.block = number;
                    continue;
                }
                "text" => Part::Text(piece()),
                "think" => Part::Reasoning(piece()),
                "tool" => {
                    let (id, name) = text.split_once(' ').expect("a script gives an id and a name");
                    let given = |text: &str| (text != "-").then(|| text.into());
                    Part::Tool { index: number, id: given(id), name: given(name), arguments: String::new() }
                }
                "args" => Part::Tool { index: number, id: None, name: None, arguments: text.into() },
                "image" => Part::Image(media()),
                "audio" => Part::Audio(media()),
                "usage" => {
                    let (input, output) = (first.parse().ok(), text.parse().ok());
                    Part::Usage(TokenUsage { input, output, ..TokenUsage::default() })
                }
                "finish" => Part::Finish(first.into()),
                "end" => Part::End,
                "error" => Part::Error { code: first.into(), message: text.into() },
                _ => continue,
            });
        }
    }
}

struct ScriptedDialect;

impl Dialect for ScriptedDialect {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn endpoint(&self, _: &Method, _: &str, _: &RequestFacts) -> EndpointKind {
        EndpointKind::Closed
    }

    fn default_path(&self, _: &str) -> String {
        "/".into()
    }

    fn put_key(&self, _: &mut HeaderMap, _: &str) -> Result<(), http::header::InvalidHeaderValue> {
        Ok(())
    }

    fn request_headers(&self) -> &'static [&'static str] {
        &[]
    }

    fn passes_response_header(&self, _: &str) -> bool {
        false
    }

    fn error_body(&self, _: u16, _: &str, message: &str) -> String {
        message.into()
    }
}
