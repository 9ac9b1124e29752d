//! What tests of the dialects share.

use http::Method;

use super::{EndpointKind, Part, RequestFacts, api_by_name, by_name};
use crate::relay::{
    ending::TokenUsage,
    frames::{FrameSplitter, UpstreamFrame},
};

/// The parts of frames, given as names and data.
pub(super) fn parts_of<'t>(api: &str, frames: impl IntoIterator<Item = (&'t str, &'t str)>) -> Vec<Part> {
    let (mut reader, mut parts) = (api_by_name(api).unwrap().reader(), Vec::new());
    for (name, data) in frames {
        reader.read(name, data, &mut parts);
    }
    parts
}

/// The parts of frames without names.
pub(super) fn parts<const N: usize>(api: &str, data: [&str; N]) -> Vec<Part> {
    parts_of(api, data.map(|data| ("", data)))
}

/// The frames of a stream.
pub(super) fn frames(api: &str, stream: &[u8]) -> Vec<UpstreamFrame> {
    let mut frames = Vec::new();
    let mut splitter = FrameSplitter::new(api_by_name(api).unwrap().framing(), 1 << 20);
    splitter.push(stream, &mut frames).unwrap();
    splitter.finish(&mut frames);
    frames
}

pub(super) fn text(text: &str) -> Part {
    Part::Text(super::TextPart { choice: 0, block: 0, text: text.into() })
}

pub(super) fn reasoning(text: &str) -> Part {
    Part::Reasoning(super::TextPart { choice: 0, block: 0, text: text.into() })
}

pub(super) fn tool(index: u32, id: &str, name: &str, arguments: &str) -> Part {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Part::Tool { index, id: text(id), name: text(name), arguments: arguments.into() }
}

pub(super) fn usage(input: impl Into<Option<u64>>, output: impl Into<Option<u64>>) -> Part {
    Part::Usage(TokenUsage { input: input.into(), output: output.into(), ..TokenUsage::default() })
}

pub(super) fn finish(reason: &str) -> Part {
    Part::Finish(reason.into())
}

pub(super) fn error(code: &str, message: &str) -> Part {
    Part::Error { code: code.into(), message: message.into() }
}

/// What `METHOD /path` is: the API's name for a stream.
pub(super) fn endpoint(dialect: &str, request: &str, stream: Option<bool>) -> &'static str {
    let (method, path) = request.split_once(' ').unwrap();
    let facts = RequestFacts { model: None, stream };
    match by_name(dialect).unwrap().endpoint(&Method::try_from(method).unwrap(), path, &facts) {
        EndpointKind::Stream(api) => api.name(),
        EndpointKind::Answer => "answer",
        EndpointKind::PassThrough => "pass",
        EndpointKind::Closed => "closed",
    }
}
