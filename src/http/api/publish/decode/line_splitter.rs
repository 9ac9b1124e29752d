//! Splits a byte stream into lines, a chunk at a time. Holds at most one line of bounded length.

use std::borrow::Cow;

use memchr::memchr;

/// The bytes between two line feeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RawLine<'a> {
    /// The line without its line feed; borrowed unless it came in more than one chunk.
    Text(Cow<'a, [u8]>),
    /// The line had more bytes than the limit and was discarded.
    TooLong,
}

/// Splits into lines of at most `limit` bytes.
#[derive(Debug)]
pub(super) struct LineSplitter {
    limit: usize,
    held: Vec<u8>,
    /// Whether the rest of a line that was too long is being discarded.
    skipping: bool,
}

impl LineSplitter {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, held: Vec::new(), skipping: false }
    }

    /// Consumes the next line of `chunk`; `None` when all of `chunk` is consumed and no line has ended.
    pub(super) fn next<'a>(&mut self, chunk: &mut &'a [u8]) -> Option<RawLine<'a>> {
        let end = memchr(b'\n', chunk);
        let (part, rest) = chunk.split_at(end.unwrap_or(chunk.len()));
        *chunk = rest.get(1..).unwrap_or_default();
        if self.skipping || self.held.len() + part.len() > self.limit {
            self.held = Vec::new();
            self.skipping = end.is_none();
            return end.map(|_| RawLine::TooLong);
        }
        if end.is_some() && self.held.is_empty() {
            return Some(RawLine::Text(Cow::Borrowed(part)));
        }
        self.held.extend_from_slice(part);
        end?;
        Some(RawLine::Text(Cow::Owned(std::mem::take(&mut self.held))))
    }

    /// The last line, if no line feed has ended it.
    pub(super) fn finish(&mut self) -> Option<RawLine<'static>> {
        if std::mem::take(&mut self.skipping) {
            return Some(RawLine::TooLong);
        }
        (!self.held.is_empty()).then(|| RawLine::Text(Cow::Owned(std::mem::take(&mut self.held))))
    }

    /// Bytes of an unfinished line.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, size: usize) -> Vec<String> {
        let mut lines = LineSplitter::new(5);
        let mut all = Vec::new();
        let mut most_held = 0;
        for chunk in text.as_bytes().chunks(size) {
            let mut chunk = chunk;
            while let Some(line) = lines.next(&mut chunk) {
                all.push(line);
            }
            assert!(chunk.is_empty());
            most_held = most_held.max(lines.held());
        }
        all.extend(lines.finish());
        assert!(most_held <= 5);
        let show = |line| match line {
            RawLine::Text(text) => String::from_utf8(text.into_owned()).expect("UTF-8"),
            RawLine::TooLong => "TOO LONG".into(),
        };
        all.into_iter().map(show).collect()
    }

    #[test]
    fn any_split_into_chunks_gives_the_same_lines() {
        let text = "a\n\n12345\n123456\nb\n1234567890123456789\nc";
        for size in 1..=text.len() {
            assert_eq!(cut(text, size), ["a", "", "12345", "TOO LONG", "b", "TOO LONG", "c"], "chunks of {size}");
        }
    }

    #[test]
    fn a_last_line_that_is_too_long_is_reported() {
        for size in [1, 4, 20] {
            assert_eq!(cut("a\n1234567", size), ["a", "TOO LONG"]);
        }
        assert_eq!(cut("a\n", 1), ["a"]);
    }
}
