//! The same events are parsed from a stream however it is split into chunks.
//!
//! Input: the parser's limit in units of 4 bytes, the number of chunks, their lengths, and the stream.

use gapless::event::sse_parser::{ParseError, Parser, SseBlock};

/// Parses the input's stream whole, in the input's chunks, and byte by byte.
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

/// The blocks parsed, and whether one is unfinished.
fn read(limit: usize, chunks: &[&[u8]]) -> (Vec<Result<SseBlock, ParseError>>, bool) {
    let mut parser = Parser::new(limit);
    let mut blocks = Vec::new();
    for chunk in chunks {
        parser.push(chunk, |block| blocks.push(block));
    }
    (blocks, parser.is_mid_block())
}

/// No block exceeds the limit, and no field contains a line break, because that ends it.
fn assert_bounded(limit: usize, blocks: &[Result<SseBlock, ParseError>]) {
    for block in blocks.iter().flatten() {
        let data = block.data.as_deref().unwrap_or_default();
        let id = block.id.as_deref().unwrap_or_default();
        assert!(block.event.len() <= limit && data.len() <= limit && id.len() <= limit);
        assert!(!block.event.contains(['\n', '\r']) && !id.contains(['\n', '\r', '\0']) && !data.contains('\r'));
    }
}
