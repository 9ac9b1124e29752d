//! However a stream is cut into chunks, the same events are read from it.
//!
//! Input: the parser's limit, the lengths of the chunks, how many those are, and the stream.

use gapless::event::sse_parser::{ParseError, Parser, SseBlock};

/// Reads the input's stream whole, in the input's chunks, and byte by byte.
pub(crate) fn holds_for(input: &[u8]) {
    let [limit, count, rest @ ..] = input else { return };
    let limit = 4 * usize::from(*limit);
    let (sizes, stream) = rest.split_at(usize::from(count % 16).min(rest.len()));
    let whole = read(limit, &[stream]);
    let mut chunks = Vec::new();
    let mut left = stream;
    for &size in sizes {
        let (chunk, rest) = left.split_at(usize::from(size).min(left.len()));
        chunks.push(chunk);
        left = rest;
    }
    chunks.push(left);
    assert_eq!(read(limit, &chunks), whole);
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(read(limit, &bytes), whole);
    assert_bounded(limit, &whole.0);
}

/// What was read, and whether an event is unfinished.
fn read(limit: usize, chunks: &[&[u8]]) -> (Vec<Result<SseBlock, ParseError>>, bool) {
    let mut parser = Parser::new(limit);
    let mut blocks = Vec::new();
    for chunk in chunks {
        parser.push(chunk, |block| blocks.push(block));
    }
    (blocks, parser.is_mid_block())
}

/// No block holds more than the limit, and no field a line break, which is what ends it.
fn assert_bounded(limit: usize, blocks: &[Result<SseBlock, ParseError>]) {
    for block in blocks.iter().flatten() {
        let data = block.data.as_deref().unwrap_or_default();
        let id = block.id.as_deref().unwrap_or_default();
        assert!(block.event.len() <= limit && data.len() <= limit && id.len() <= limit);
        assert!(!block.event.contains(['\n', '\r']) && !id.contains(['\n', '\r', '\0']) && !data.contains('\r'));
    }
}
