//! A provider's stream is split into the same frames however the network cuts it, each frame's data is what came, and
//! its meaning has at most one end.
//!
//! Input: the limit of a frame in units of 8 bytes, the number of chunks, their lengths, and the stream.

use gapless::relay::{
    dialect::{GenerationApi, Part, api_by_name},
    frames::{FrameError, FrameSplitter, Framing, UpstreamFrame},
};

/// Reads the input as a stream of the API with this name.
pub(crate) fn holds_for(api: &str, input: &[u8]) {
    let [limit, count, rest @ ..] = input else { return };
    let limit = 8 * usize::from(*limit);
    let (sizes, stream) = rest.split_at(usize::from(count % 16).min(rest.len()));
    let api = api_by_name(api).expect("the API has this name");
    let (frames, failed) = split(api, limit, &[stream]);
    let (mut chunks, mut left) = (Vec::new(), stream);
    for &size in sizes {
        let (chunk, rest) = left.split_at(usize::from(size).min(left.len()));
        chunks.push(chunk);
        left = rest;
    }
    chunks.push(left);
    assert_eq!(split(api, limit, &chunks), (frames.clone(), failed));
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(split(api, limit, &bytes), (frames.clone(), failed));
    for frame in &frames {
        assert!(frame.data.len() <= limit);
        assert_came(api.framing(), &frame.data, stream);
    }
    assert_read(api, &frames);
}

fn split(api: &dyn GenerationApi, limit: usize, chunks: &[&[u8]]) -> (Vec<UpstreamFrame>, Option<FrameError>) {
    let (mut splitter, mut frames) = (FrameSplitter::new(api.framing(), limit), Vec::new());
    let failed = chunks.iter().find_map(|chunk| splitter.push(chunk, &mut frames).err());
    splitter.finish(&mut frames);
    (frames, failed)
}

/// Each line of the data stands in the stream. An error between the lines of SSE may have had several.
fn assert_came(framing: Framing, data: &str, stream: &[u8]) {
    let has = |stream: &[u8], text: &str| {
        text.is_empty() || stream.windows(text.len()).any(|window| window == text.as_bytes())
    };
    let joined: Vec<u8> = stream.iter().copied().filter(|byte| !b"\r\n".contains(byte)).collect();
    let came = match framing {
        Framing::Sse => data.lines().all(|line| has(stream, line)) || has(&joined, data),
        Framing::Lines => has(stream, data) && !data.contains('\n'),
    };
    assert!(came, "{data:?} did not come");
}

fn assert_read(api: &dyn GenerationApi, frames: &[UpstreamFrame]) {
    let (mut reader, mut parts) = (api.reader(), Vec::new());
    for frame in frames {
        reader.read(&frame.name, &frame.data, &mut parts);
    }
    let is_end = |part: &Part| matches!(part, Part::End | Part::Error { .. });
    let end = parts.iter().position(is_end);
    assert!(end.is_none_or(|end| end + 1 == parts.len()), "{parts:?}");
    let empty = |part: &Part| match part {
        Part::Text(text) | Part::Reasoning(text) => text.text.is_empty(),
        Part::Tool { id, name, arguments, .. } => id.is_none() && name.is_none() && arguments.is_empty(),
        _ => false,
    };
    assert!(!parts.iter().any(empty), "{parts:?}");
}
