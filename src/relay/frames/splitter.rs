//! Splits a provider's bytes into frames, wherever the network cut them.

use memchr::{memchr, memchr2};
use serde::de::IgnoredAny;

use super::{
    FrameError, Framing, UpstreamFrame,
    bare_json::{BareObject, BareProgress},
};
use crate::event::sse_parser::{ParseError, Parser};

/// Splits one stream. It holds at most `limit` bytes of a frame.
#[derive(Debug)]
pub struct FrameSplitter {
    limit: usize,
    unfinished: UnfinishedFrame,
    failed: Option<FrameError>,
}

/// What is known of an unfinished frame.
#[derive(Debug)]
enum UnfinishedFrame {
    Sse { parser: Box<Parser>, at_line_start: bool, bare: Option<BareObject> },
    Lines { held: Vec<u8> },
}

impl FrameSplitter {
    /// A splitter for one stream whose frames have at most `limit_bytes` each: of SSE all lines of the block count.
    #[must_use]
    pub fn new(framing: Framing, limit_bytes: usize) -> Self {
        let unfinished = match framing {
            Framing::Sse => {
                UnfinishedFrame::Sse { parser: Box::new(Parser::new(limit_bytes)), at_line_start: true, bare: None }
            }
            Framing::Lines => UnfinishedFrame::Lines { held: Vec::new() },
        };
        Self { limit: limit_bytes, unfinished, failed: None }
    }

    /// Appends the frames that `chunk` completes. In an SSE stream a block without data is no frame, and a line that
    /// begins a JSON object with a member `error` is one, without a name. Of lines, blank ones are no frames.
    ///
    /// # Errors
    /// A frame is too large, or not UTF-8. The frames before it have been appended; after it the stream cannot be read,
    /// so each further call fails in the same way.
    pub fn push(&mut self, chunk: &[u8], frames: &mut Vec<UpstreamFrame>) -> Result<(), FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let result = match &mut self.unfinished {
            UnfinishedFrame::Sse { parser, at_line_start, bare } => {
                SseState { limit: self.limit, parser, at_line_start, bare }.push(chunk, frames)
            }
            UnfinishedFrame::Lines { held } => push_lines(self.limit, held, chunk, frames),
        };
        self.failed = result.err();
        result
    }

    /// Ends the stream. An unfinished SSE block is no frame: the provider was cut off. A last line without a line end is
    /// a frame if it is JSON.
    pub fn finish(&mut self, frames: &mut Vec<UpstreamFrame>) {
        let UnfinishedFrame::Lines { held } = &mut self.unfinished else { return };
        let line = std::mem::take(held);
        let is_json = serde_json::from_slice::<IgnoredAny>(&line).is_ok();
        if self.failed.is_none() && is_json {
            // serde_json does not look whether text that it skips is UTF-8.
            frames.extend(line_frame(&line).ok().flatten());
        }
    }
}

/// The state of an SSE stream, borrowed for one chunk.
struct SseState<'s> {
    limit: usize,
    parser: &'s mut Parser,
    at_line_start: &'s mut bool,
    bare: &'s mut Option<BareObject>,
}

impl SseState<'_> {
    fn push(&mut self, mut rest: &[u8], frames: &mut Vec<UpstreamFrame>) -> Result<(), FrameError> {
        while let Some(first) = rest.first() {
            if self.bare.is_some() || (*self.at_line_start && *first == b'{') {
                self.push_bare(&mut rest, frames)?;
                continue;
            }
            let end = memchr2(b'\n', b'\r', rest).map_or(rest.len(), |end| end + 1);
            let (line, after) = rest.split_at(end);
            rest = after;
            *self.at_line_start = line.ends_with(b"\n") || line.ends_with(b"\r");
            self.parse(line, frames)?;
        }
        Ok(())
    }

    /// Passes at most one line on to the parser, so that an error is found in the same place wherever chunks end.
    fn parse(&mut self, mut line: &[u8], frames: &mut Vec<UpstreamFrame>) -> Result<(), FrameError> {
        while let Some(block) = self.parser.next(&mut line) {
            let block = block?;
            frames.extend(block.data.map(|data| UpstreamFrame { name: block.event, data }));
        }
        self.parser.failed().map_or(Ok(()), |error| Err(error.into()))
    }

    fn push_bare(&mut self, rest: &mut &[u8], frames: &mut Vec<UpstreamFrame>) -> Result<(), FrameError> {
        let object = self.bare.get_or_insert_default();
        // One byte more than the limit is enough to know that it is exceeded.
        let room = self.limit.saturating_sub(object.held()) + 1;
        let (mut part, after) = rest.split_at(room.min(rest.len()));
        let progress = object.take(&mut part);
        *rest = &rest[rest.len() - after.len() - part.len()..];
        if object.held() > self.limit {
            return Err(FrameError::TooLarge(self.limit));
        }
        // To the parser, what was taken is the beginning of a comment. The rest of the line ends it, or the blank line does.
        match progress {
            BareProgress::Unfinished => {}
            BareProgress::Complete => {
                let error = self.bare.take().and_then(BareObject::into_error);
                frames.extend(error.map(|data| UpstreamFrame { name: String::new(), data }));
                self.parse(b":", frames)?;
                *self.at_line_start = false;
            }
            BareProgress::Blank => {
                *self.bare = None;
                self.parse(b":\n", frames)?;
                self.parse(b"\n", frames)?;
                *self.at_line_start = true;
            }
        }
        Ok(())
    }
}

fn push_lines(
    limit: usize,
    held: &mut Vec<u8>,
    mut rest: &[u8],
    frames: &mut Vec<UpstreamFrame>,
) -> Result<(), FrameError> {
    while !rest.is_empty() {
        let end = memchr(b'\n', rest);
        let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after.get(1..).unwrap_or_default();
        if held.len() + part.len() > limit {
            return Err(FrameError::TooLarge(limit));
        }
        if end.is_some() && held.is_empty() {
            frames.extend(line_frame(part)?);
            continue;
        }
        held.extend_from_slice(part);
        if end.is_some() {
            let line = std::mem::take(held);
            frames.extend(line_frame(&line)?);
        }
    }
    Ok(())
}

/// The frame of a line, which may end with a carriage return; `None` for a blank one.
fn line_frame(line: &[u8]) -> Result<Option<UpstreamFrame>, FrameError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let data = std::str::from_utf8(line).map_err(|_| FrameError::NotUtf8)?;
    Ok(Some(UpstreamFrame { name: String::new(), data: data.into() }))
}

impl From<ParseError> for FrameError {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::TooLarge(limit) => Self::TooLarge(limit),
            ParseError::NotUtf8 => Self::NotUtf8,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(name: &str, data: &str) -> UpstreamFrame {
        UpstreamFrame { name: name.into(), data: data.into() }
    }

    fn split(framing: Framing, limit: usize, chunks: &[&[u8]]) -> (Vec<UpstreamFrame>, Option<FrameError>) {
        let (mut splitter, mut frames) = (FrameSplitter::new(framing, limit), Vec::new());
        let failed = chunks.iter().find_map(|chunk| splitter.push(chunk, &mut frames).err());
        splitter.finish(&mut frames);
        (frames, failed)
    }

    fn sse(text: &str) -> Vec<UpstreamFrame> {
        let (frames, failed) = split(Framing::Sse, 1000, &[text.as_bytes()]);
        assert_eq!(failed, None);
        frames
    }

    fn lines(text: &str) -> Vec<UpstreamFrame> {
        let (frames, failed) = split(Framing::Lines, 1000, &[text.as_bytes()]);
        assert_eq!(failed, None);
        frames
    }

    #[test]
    fn a_block_without_data_is_no_frame() {
        let text = "\u{feff}: hello\r\n\r\nretry: 1\n\nevent: ping\n\ndata:a\rdata: 界\r\revent: e\ndata\n\n:\n\n";
        assert_eq!(sse(text), [frame("", "a\n界"), frame("e", "")]);
    }

    #[test]
    fn an_unfinished_block_is_no_frame() {
        assert_eq!(sse("data: a\n\ndata: [DONE]"), [frame("", "a")]);
        assert_eq!(sse("data: a\n\ndata: [DONE]\n"), [frame("", "a")]);
    }

    #[test]
    fn an_error_without_data_is_a_frame() {
        let pretty = "{\r\n  \"error\": {\n    \"message\": \"a } \\\" {\"\n  }\n}\n\n";
        let compact = r#"{"error":{"code":503}}"#;
        assert_eq!(
            sse(&format!("data: a\n\n{pretty}data: b\n\n{compact}\n")),
            [
                frame("", "a"),
                frame("", r#"{  "error": {    "message": "a } \" {"  }}"#),
                frame("", "b"),
                frame("", compact)
            ]
        );
        assert_eq!(sse(&format!("data: a\n{compact}\ndata: b\n\n")), [frame("", compact), frame("", "a\nb")]);
        assert_eq!(sse(&format!("{compact} \r\ndata: b\r\n\r\n")), [frame("", compact), frame("", "b")]);
    }

    #[test]
    fn another_object_without_data_is_an_unknown_field() {
        for text in [r#"{"text":"a"}"#, r#"{"error":null}"#, "{}", "{error}", "{\"error\":1"] {
            assert_eq!(sse(&format!("data: a\n{text}\n")), [], "{text}");
        }
        assert_eq!(sse("{\"text\":\n\"data: x\"\n}\ndata: a\n\n"), [frame("", "a")]);
        assert_eq!(sse("data: a\ndata: {\"error\":1}\n\n"), [frame("", "a\n{\"error\":1}")]);
    }

    #[test]
    fn a_blank_line_ends_an_object_without_an_end() {
        for (end, blank) in [("\n", "\n\n"), ("\r\n", "\r\n\r\n"), ("\r", "\r\r"), ("\n", "\n\r\n"), ("\r", "\r\r\n")] {
            let text = format!("data: a{end}{{\"error\":{end}\"x{blank}data: b\n\n");
            assert_eq!(sse(&text), [frame("", "a"), frame("", "b")], "{text:?}");
        }
    }

    #[test]
    fn a_line_is_a_frame_without_its_end() {
        assert_eq!(lines("{\"a\":\"界\"}\r\n\n \r\n{}\n"), [frame("", "{\"a\":\"界\"}"), frame("", "{}")]);
    }

    #[test]
    fn a_last_line_is_a_frame_if_it_is_json() {
        assert_eq!(lines("{}\n{\"done\":true}"), [frame("", "{}"), frame("", "{\"done\":true}")]);
        assert_eq!(lines("{}\n{\"done\":tru"), [frame("", "{}")]);
        assert_eq!(split(Framing::Lines, 100, &[b"{\"a\":\"\xff\"}"]), (vec![], None));
    }

    #[test]
    fn a_frame_over_the_limit_fails_without_its_end() {
        let (want, limit) = ((vec![frame("", "a")], Some(FrameError::TooLarge(20))), 20);
        assert_eq!(split(Framing::Sse, limit, &[b"data: a\n\n", b"data: ", &[b'x'; 15]]), want);
        assert_eq!(split(Framing::Sse, limit, &[b"data: a\n\n", b"{\"error\":", &[b'x'; 12]]), want);
        assert_eq!(split(Framing::Sse, limit, &[b"data: a\n\n", &b"data: x\n".repeat(3)]), want);
        assert_eq!(split(Framing::Lines, limit, &[b"a\n", &[b'x'; 21]]), want);
        let fits = |framing, text: &[u8]| assert_eq!(split(framing, limit, &[text]).1, None);
        fits(Framing::Sse, b"data: 12345678901234\n\n");
        fits(Framing::Sse, b"{\"error\":1234567890}\n");
        fits(Framing::Lines, b"12345678901234567890\n12345678901234567890\n");
    }

    #[test]
    fn after_an_error_nothing_is_read() {
        for framing in [Framing::Sse, Framing::Lines] {
            let mut splitter = FrameSplitter::new(framing, 100);
            let mut frames = Vec::new();
            for text in [b"data: \xff\n\n".as_slice(), b"data: a\n\n", b"{}"] {
                assert_eq!(splitter.push(text, &mut frames), Err(FrameError::NotUtf8));
            }
            splitter.finish(&mut frames);
            assert_eq!(frames, []);
        }
    }

    /// Streams in which every piece that the splitters know occurs, and is damaged.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let known = [
            "\n",
            "\r",
            "\r\n",
            "\n\n",
            "\u{feff}",
            "data: ",
            "data:",
            "data",
            "event: e",
            ": c",
            "retry: 1",
            "{",
            "}",
            "{\"error\":1}",
            "{\"error\":{\"m\":\"😀\\\"}\"}}",
            "\"",
            "\\",
            "界",
            "😀",
            " ",
            "[DONE]",
            "x",
        ];
        let piece = prop_oneof![
            9 => proptest::sample::select(known.map(str::as_bytes).map(<[u8]>::to_vec).to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 0..4),
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(
            stream in stream(),
            cuts in proptest::collection::vec(0..200_usize, 0..6),
            limit in 4..80_usize,
        ) {
            for framing in [Framing::Sse, Framing::Lines] {
                let whole = split(framing, limit, &[&stream]);
                let mut ends: Vec<usize> = cuts.iter().map(|cut| *cut.min(&stream.len())).collect();
                ends.extend([0, stream.len()]);
                ends.sort_unstable();
                let chunks: Vec<&[u8]> = ends.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
                prop_assert_eq!(&split(framing, limit, &chunks), &whole);
                let bytes: Vec<&[u8]> = stream.chunks(1).collect();
                prop_assert_eq!(&split(framing, limit, &bytes), &whole);
                prop_assert!(whole.0.iter().all(|frame| frame.data.len() <= limit));
            }
        }
    }
}
