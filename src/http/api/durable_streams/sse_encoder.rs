//! A stream as `text/event-stream`: after each event with data, one that tells where the reader is.
//!
//! Both have the offset after the data as their id, so that a plain EventSource resumes, and a connection that breaks between
//! the two doubles nothing. `id:` stands before `event:`, and nothing between `event:` and `data:`: clients of the protocol
//! are tested with that.

use std::io::Write;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use memchr::memchr2;

use super::{content_type::DataFormat, offset::Offset};

/// Longest UTF-8 character but its last byte: what is kept of one until the rest comes.
const MAX_INCOMPLETE: usize = 3;

/// Encodes the events of one stream for one reader.
#[derive(Debug)]
pub struct SseEncoder {
    format: DataFormat,
    /// The value of `streamCursor`.
    cursor: u64,
    /// Of text: the beginning of a character whose rest is in the next append.
    incomplete: Vec<u8>,
}

/// Where a reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderPosition {
    /// The offset after what it was sent.
    pub offset: Offset,
    /// Nothing is left.
    pub up_to_date: bool,
    /// Nothing will follow.
    pub closed: bool,
}

impl SseEncoder {
    /// An encoder of data of this format.
    #[must_use]
    pub fn new(format: DataFormat, cursor: u64) -> Self {
        Self { format, cursor, incomplete: Vec::new() }
    }

    /// The format of the data.
    #[must_use]
    pub fn format(&self) -> DataFormat {
        self.format
    }

    /// The value of `streamCursor`.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Whether the beginning of a character waits for its rest.
    #[must_use]
    pub fn is_within_character(&self) -> bool {
        !self.incomplete.is_empty()
    }

    /// Whether data begins within a character whose beginning this encoder has not seen.
    #[must_use]
    pub fn continues_character(&self, data: &[u8]) -> bool {
        let is_continuation = data.first().is_some_and(|byte| (0x80..=0xBF).contains(byte));
        self.format == DataFormat::Text && self.incomplete.is_empty() && is_continuation
    }

    /// Goes on after this data, which was sent already, apart from an incomplete character at its end.
    pub fn resume(&mut self, before: &[u8]) {
        self.incomplete = before[before.len() - incomplete_at_end(before)..].to_vec();
    }

    /// Writes an event with data, and the one that tells the position after it.
    pub fn pair(&mut self, out: &mut Vec<u8>, data: &[u8], position: ReaderPosition) {
        write!(out, "id: {}\nevent: data\ndata:", position.offset).expect("writing to memory");
        match self.format {
            DataFormat::Json => {
                out.push(b'[');
                lines(out, data);
                out.push(b']');
            }
            DataFormat::Text => self.text(out, data, position.closed),
            DataFormat::Bytes => out.extend_from_slice(STANDARD.encode(data).as_bytes()),
        }
        out.extend_from_slice(b"\n\n");
        self.control(out, position);
    }

    /// Writes an event that tells the position.
    pub fn control(&self, out: &mut Vec<u8>, position: ReaderPosition) {
        let ReaderPosition { offset, up_to_date, closed } = position;
        write!(out, "id: {offset}\nevent: control\ndata:{{\"streamNextOffset\":\"{offset}\"")
            .expect("writing to memory");
        if !closed {
            write!(out, ",\"streamCursor\":\"{}\"", self.cursor).expect("writing to memory");
        }
        if up_to_date {
            out.extend_from_slice(b",\"upToDate\":true");
        }
        if closed {
            out.extend_from_slice(b",\"streamClosed\":true");
        }
        out.extend_from_slice(b"}\n\n");
    }

    /// Text is cut between appends anywhere, also within a character. It goes out with the append that completes it. What is
    /// no UTF-8 at all is U+FFFD.
    fn text(&mut self, out: &mut Vec<u8>, data: &[u8], is_last: bool) {
        let joined;
        let data = if self.incomplete.is_empty() {
            data
        } else {
            joined = [std::mem::take(&mut self.incomplete).as_slice(), data].concat();
            &joined
        };
        let whole = if is_last { data.len() } else { data.len() - incomplete_at_end(data) };
        self.incomplete.extend_from_slice(&data[whole..]);
        let text = String::from_utf8_lossy(&data[..whole]);
        keep_space(out, text.as_bytes());
        lines(out, text.as_bytes());
    }
}

/// Bytes at the end that are the beginning of a character.
fn incomplete_at_end(data: &[u8]) -> usize {
    let last = data.utf8_chunks().last();
    let rest = last.map_or(&[][..], |chunk| chunk.invalid());
    // Followed by a byte that would complete it, these would be valid.
    let expected = match rest.first() {
        Some(0xC2..=0xDF) => 2,
        Some(0xE0..=0xEF) => 3,
        Some(0xF0..=0xF4) => 4,
        _ => return 0,
    };
    if rest.len() <= MAX_INCOMPLETE && rest.len() < expected { rest.len() } else { 0 }
}

/// Writes data into the present `data:` line; each line break of it, of any kind, begins another one.
fn lines(out: &mut Vec<u8>, mut rest: &[u8]) {
    while let Some(end) = memchr2(b'\n', b'\r', rest) {
        out.extend_from_slice(&rest[..end]);
        out.extend_from_slice(b"\ndata:");
        rest = &rest[end + if rest[end..].starts_with(b"\r\n") { 2 } else { 1 }..];
        keep_space(out, rest);
    }
    out.extend_from_slice(rest);
}

/// Readers drop one space after `data:`, so text that begins with one is sent another before it.
fn keep_space(out: &mut Vec<u8>, text: &[u8]) {
    if text.starts_with(b" ") {
        out.push(b' ');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{Epoch, EventId, Seq, sse_parser::Parser};

    fn position(seq: u64) -> ReaderPosition {
        let offset = Offset(EventId { epoch: Epoch::new("abcd").expect("valid"), seq: Seq(seq) });
        ReaderPosition { offset, up_to_date: false, closed: false }
    }

    fn encoded(format: DataFormat, data: &[&[u8]]) -> String {
        let (mut encoder, mut out) = (SseEncoder::new(format, 5), Vec::new());
        for data in data {
            encoder.pair(&mut out, data, position(7));
        }
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn an_append_is_a_pair_of_events_with_the_offset_after_it() {
        let offset = position(7).offset;
        let control = format!(
            "id: {offset}\nevent: control\ndata:{{\"streamNextOffset\":\"{offset}\",\"streamCursor\":\"5\"}}\n\n"
        );
        for (format, data, text) in [
            (DataFormat::Text, &b"a\r\nb\rc\n"[..], "data:a\ndata:b\ndata:c\ndata:"),
            (DataFormat::Text, b" a\n  b\r c", "data:  a\ndata:   b\ndata:  c"),
            (DataFormat::Json, b"{\"a\":\n1}", "data:[{\"a\":\ndata:1}]"),
            (DataFormat::Bytes, b"\xff\n\x00", "data:/woA"),
        ] {
            assert_eq!(encoded(format, &[data]), format!("id: {offset}\nevent: data\n{text}\n\n{control}"));
        }
    }

    #[test]
    fn the_end_is_told() {
        let (encoder, mut out) = (SseEncoder::new(DataFormat::Text, 5), Vec::new());
        encoder.control(&mut out, ReaderPosition { up_to_date: true, closed: true, ..position(7) });
        let text = String::from_utf8(out).expect("text");
        assert!(text.ends_with("\",\"upToDate\":true,\"streamClosed\":true}\n\n"), "{text}");
    }

    #[test]
    fn a_character_that_is_cut_goes_out_whole() {
        let text = |parts: &[&[u8]]| {
            let (mut parser, mut all) = (Parser::new(1 << 20), String::new());
            parser.push(encoded(DataFormat::Text, parts).as_bytes(), |block| {
                let block = block.expect("within the limit");
                if block.event == "data" {
                    all.push_str(&block.data.unwrap_or_default());
                }
            });
            all
        };
        let whole = "a€𝄞ü";
        for at in 0..=whole.len() {
            let (first, second) = whole.as_bytes().split_at(at);
            assert_eq!(text(&[first, second]), whole, "{at}");
        }
        assert_eq!(text(&[b"\xf0", b"\x9d", b"\x84", b"\x9e"]), "𝄞");
        assert_eq!(text(&[b"a\xffb", b"c"]), "a\u{fffd}bc");
        assert_eq!(text(&[b"a\xe2", b"b"]), "a\u{fffd}b");
    }

    #[test]
    fn a_character_is_whole_after_a_break_within_it() {
        let whole = "a€𝄞ü".as_bytes();
        for at in 1..whole.len() {
            let (sent, rest) = whole.split_at(at);
            let mut encoder = SseEncoder::new(DataFormat::Text, 5);
            let within = std::str::from_utf8(sent).is_err();
            assert_eq!(encoder.continues_character(rest), within, "{at}");
            encoder.resume(&sent[sent.len().saturating_sub(3)..]);
            let mut out = Vec::new();
            encoder.pair(&mut out, rest, position(7));
            let valid = std::str::from_utf8(sent).map_or_else(|error| error.valid_up_to(), str::len);
            let want = String::from_utf8(whole[valid..].to_vec()).expect("whole characters");
            let text = String::from_utf8(out).expect("UTF-8");
            assert!(text.contains(&format!("\ndata:{want}\n\n")), "{at}: {text}");
        }
    }

    proptest! {
        #[test]
        fn any_data_makes_two_events(data in prop::collection::vec(any::<u8>(), 0..300)) {
            for format in [DataFormat::Text, DataFormat::Bytes] {
                let text = encoded(format, &[&data]);
                prop_assert_eq!(text.matches("\n\n").count(), 2);
                prop_assert_eq!(text.lines().filter(|line| line.starts_with("event:")).count(), 2);
            }
        }
    }
}
