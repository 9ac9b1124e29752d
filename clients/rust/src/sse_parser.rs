//! Incremental parser for `text/event-stream` (WHATWG HTML, section 9.2.6).
//!
//! Used on both sides: for streams sent to `POST /publish`, and for streams read by `gapless tail`.

use memchr::memchr2;

/// The fields of one block, which a blank line ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SseBlock {
    /// The `event` field; empty when there was none.
    pub event: String,
    /// The `data` lines, joined by line feeds; `None` when there was none, so nothing is dispatched.
    pub data: Option<String>,
    /// The `id` field of this block, if any.
    pub id: Option<String>,
    /// The `retry` field in milliseconds, if it was digits only.
    pub retry: Option<u64>,
}

/// Why a block cannot be parsed. After an error the parser is at the start of the next line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The lines of the block are longer than the limit; the whole block is skipped.
    #[error("an event of the stream has more than {0} bytes; split it or raise the limit")]
    TooLarge(usize),
    /// A line is not UTF-8; the whole block is skipped.
    #[error("an event of the stream is not UTF-8")]
    NotUtf8,
}

/// An incremental parser that holds at most `limit` bytes of one block.
#[derive(Debug)]
pub struct Parser {
    limit: usize,
    line: Vec<u8>,
    block: SseBlock,
    held: usize,
    touched: bool,
    failed: Option<ParseError>,
    after_cr: bool,
    at_start: bool,
    retry: Option<u64>,
    comments: u64,
}

impl Parser {
    /// A parser for one stream whose blocks have at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            block: SseBlock::default(),
            held: 0,
            touched: false,
            failed: None,
            after_cr: false,
            at_start: true,
            retry: None,
            comments: 0,
        }
    }

    /// Parses `chunk`, and passes each complete block, or the error in its place, to `each`.
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(Result<SseBlock, ParseError>)) {
        let mut rest = chunk;
        while let Some(block) = self.next(&mut rest) {
            each(block);
        }
    }

    /// Parses until a block is complete or has failed, and removes what was parsed from `rest`; `None` when `rest` is
    /// used up.
    pub fn next(&mut self, rest: &mut &[u8]) -> Option<Result<SseBlock, ParseError>> {
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            *rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = memchr2(b'\n', b'\r', rest) {
            let (line, after) = rest.split_at(end);
            *rest = &after[1..];
            if after[0] == b'\r' {
                self.after_cr = rest.is_empty();
                *rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
            let block = if self.line.is_empty() && self.held + line.len() <= self.limit {
                // The line is complete in this chunk: parse it without a copy.
                self.held += line.len();
                self.end_line(line)
            } else {
                self.take(line);
                let mut line = std::mem::take(&mut self.line);
                let block = self.end_line(&line);
                line.clear();
                self.line = line;
                block
            };
            if block.is_some() {
                return block;
            }
        }
        self.take(rest);
        *rest = &[];
        None
    }

    /// Whether a block has begun and no blank line has ended it: an unfinished event at the end of a stream.
    #[must_use]
    pub fn is_mid_block(&self) -> bool {
        self.touched || !self.line.is_empty()
    }

    /// Why the unfinished block will be skipped, before a blank line ends it: a line without an end has none.
    #[must_use]
    pub fn failed(&self) -> Option<ParseError> {
        self.failed
    }

    /// Bytes buffered for an unfinished event. A lone `retry` and comments count 0: a stream may begin with them and
    /// then be silent.
    #[must_use]
    pub fn held(&self) -> usize {
        let fields = self.block.event.len()
            + self.block.id.as_ref().map_or(0, String::len)
            + self.block.data.as_ref().map_or(0, String::len);
        self.line.len() + fields
    }

    /// The newest reconnect delay in milliseconds. A `retry` line counts as soon as it is read, also when no blank line
    /// follows it.
    #[must_use]
    pub fn retry(&self) -> Option<u64> {
        self.retry
    }

    /// Number of comments so far: keepalives.
    #[must_use]
    pub fn comments(&self) -> u64 {
        self.comments
    }

    fn take(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.held += bytes.len();
        if self.held > self.limit {
            self.failed = Some(ParseError::TooLarge(self.limit));
            self.line.clear();
            // A non-blank line must stay non-blank, so one byte stands for what was dropped.
            self.line.push(b':');
        } else {
            self.line.extend_from_slice(bytes);
        }
    }

    fn end_line(&mut self, line: &[u8]) -> Option<Result<SseBlock, ParseError>> {
        let mut bytes = line;
        if std::mem::replace(&mut self.at_start, false) {
            bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        }
        if bytes.is_empty() {
            self.held = 0;
            let block = std::mem::take(&mut self.block);
            let touched = std::mem::take(&mut self.touched);
            return match self.failed.take() {
                Some(error) => Some(Err(error)),
                None => touched.then_some(Ok(block)),
            };
        }
        if self.failed.is_none() {
            match std::str::from_utf8(bytes) {
                Ok(text) => self.field(text),
                Err(_) => self.failed = Some(ParseError::NotUtf8),
            }
        }
        None
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        self.comments += u64::from(name.is_empty());
        match name {
            "event" => self.block.event = value.into(),
            "data" => match &mut self.block.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                none => *none = Some(value.into()),
            },
            "id" if !value.contains('\0') => self.block.id = Some(value.into()),
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                self.block.retry = value.parse().ok();
                self.retry = self.block.retry.or(self.retry);
            }
            _ => return,
        }
        self.touched = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_in_chunks(text: &[u8], size: usize) -> Vec<Result<SseBlock, ParseError>> {
        let mut parser = Parser::new(64);
        let mut all = Vec::new();
        for chunk in text.chunks(size) {
            parser.push(chunk, |block| all.push(block));
        }
        all
    }

    fn data(text: &str) -> SseBlock {
        SseBlock { data: Some(text.into()), ..SseBlock::default() }
    }

    #[test]
    fn any_split_into_chunks_reads_the_same() {
        let text =
            "\u{feff}: hi\r\nid: 1\r\nevent: e\r\ndata: a\rdata:b\n\rretry: 10\n\ndata\n\ndata: ü\n\n".as_bytes();
        let want = vec![
            Ok(SseBlock { event: "e".into(), id: Some("1".into()), ..data("a\nb") }),
            Ok(SseBlock { retry: Some(10), ..SseBlock::default() }),
            Ok(data("")),
            Ok(data("ü")),
        ];
        for size in 1..=text.len() {
            assert_eq!(parse_in_chunks(text, size), want, "chunks of {size}");
        }
    }

    #[test]
    fn a_block_over_the_limit_is_skipped_and_the_next_one_read() {
        let text = format!("data: {}\ndata: tail\n\ndata: ok\n\n", "x".repeat(100));
        for size in [1, 7, 500] {
            assert_eq!(parse_in_chunks(text.as_bytes(), size), [Err(ParseError::TooLarge(64)), Ok(data("ok"))]);
        }
    }

    #[test]
    fn a_block_that_is_not_utf8_is_skipped_and_the_next_one_read() {
        assert_eq!(parse_in_chunks(b"data: \xff\n\ndata: ok\n\n", 3), [Err(ParseError::NotUtf8), Ok(data("ok"))]);
    }

    #[test]
    fn an_unfinished_block_is_known() {
        let mut parser = Parser::new(64);
        parser.push(b"data: a\n\n", |_| {});
        assert!(!parser.is_mid_block());
        parser.push(b"data: b\n", |_| {});
        assert!(parser.is_mid_block());
    }

    #[test]
    fn a_failed_block_is_known_before_its_end() {
        let mut parser = Parser::new(8);
        parser.push(b"data: ab", |_| {});
        assert_eq!(parser.failed(), None);
        parser.push(b"c", |_| {});
        assert_eq!(parser.failed(), Some(ParseError::TooLarge(8)));
        parser.push(b"\n\n", |_| {});
        assert_eq!(parser.failed(), None);
    }

    #[test]
    fn what_is_held_is_what_came_of_an_event() {
        let mut parser = Parser::new(64);
        let mut held = |text: &[u8]| {
            parser.push(text, |_| {});
            parser.held()
        };
        assert_eq!((held(b"retry: 3000\n:\n"), held(b": a comment\n"), held(b"data")), (0, 0, 4));
        assert_eq!((held(b": abc\n"), held(b"event: e\n"), held(b"\n")), (3, 4, 0));
    }

    #[test]
    fn a_reconnect_delay_counts_without_a_blank_line() {
        let mut parser = Parser::new(64);
        parser.push(b"retry: 10\n:\nretry: x\n", |_| {});
        assert_eq!(parser.retry(), Some(10));
        parser
            .push(b"data: a\n\nretry: 20\n", |block| assert_eq!(block, Ok(SseBlock { retry: Some(10), ..data("a") })));
        assert_eq!(parser.retry(), Some(20));
    }

    #[test]
    fn comments_are_counted() {
        let mut parser = Parser::new(64);
        parser.push(b": a\n:\ndata: :\n", |_| {});
        assert_eq!(parser.comments(), 2);
    }

    #[test]
    fn ids_with_nul_and_odd_retries_are_ignored() {
        assert_eq!(parse_in_chunks(b"id: a\0b\nretry: 1s\ndata: x\n\n", 5), [Ok(data("x"))]);
    }
}
