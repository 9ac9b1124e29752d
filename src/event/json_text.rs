//! JSON on one line, whatever splits it into lines.
//!
//! JSON permits U+0085, U+2028 and U+2029 unescaped, but some readers split lines there: Python's `splitlines` and
//! httpx's `iter_lines` at all three, older JavaScript at the last two. The hub's JSON contains text from clients
//! (data, names, cursors), so this module escapes them. serde_json escapes the control characters at which such readers
//! split.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// Appends `value` to `out`.
///
/// # Panics
/// When `value` has no JSON form: a map whose keys are not text. None of the hub's values has one.
pub fn write(out: &mut Vec<u8>, value: &impl Serialize) {
    value.serialize(&mut Serializer::with_formatter(out, OneLine)).expect("text and numbers are JSON");
}

/// `value` as bytes.
#[must_use]
pub fn bytes(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write(&mut out, value);
    out
}

/// `value` as text.
///
/// # Panics
/// As [`write()`].
#[must_use]
pub fn text(value: &impl Serialize) -> String {
    String::from_utf8(bytes(value)).expect("JSON is UTF-8")
}

/// Appends a part of the text of a string to `out`, without the quotes around it. The parts of a text together are what
/// the whole is.
pub fn string_part(out: &mut Vec<u8>, part: &str) {
    let text = bytes(&part);
    out.extend_from_slice(&text[1..text.len() - 1]);
}

/// Appends a part of a valid JSON text to `out`, as it is but on one line: its line breaks, which are between tokens only,
/// become spaces.
pub fn raw_part(out: &mut Vec<u8>, part: &str) {
    let from = out.len();
    escape_line_ends(out, part).expect("memory");
    for byte in &mut out[from..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

struct OneLine;

impl Formatter for OneLine {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        escape_line_ends(writer, fragment)
    }
}

fn escape_line_ends<W: ?Sized + Write>(writer: &mut W, fragment: &str) -> io::Result<()> {
    let (bytes, mut done) = (fragment.as_bytes(), 0);
    for at in memchr::memchr2_iter(0xC2, 0xE2, bytes) {
        let (escape, length): (&[u8], _) = match &bytes[at..] {
            [0xC2, 0x85, ..] => (b"\\u0085", 2),
            [0xE2, 0x80, 0xA8, ..] => (b"\\u2028", 3),
            [0xE2, 0x80, 0xA9, ..] => (b"\\u2029", 3),
            _ => continue,
        };
        writer.write_all(&bytes[done..at])?;
        writer.write_all(escape)?;
        done = at + length;
    }
    writer.write_all(&bytes[done..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Where Python's `str.splitlines` splits: the longest list that we know.
    const CUTS: [char; 10] = ['\n', '\r', '\x0b', '\x0c', '\x1c', '\x1d', '\x1e', '\u{85}', '\u{2028}', '\u{2029}'];

    #[test]
    fn no_reader_of_lines_cuts_it() {
        let all: String = CUTS.into_iter().chain("é€\u{2027}\u{202a}\u{84}\u{86}".chars()).collect();
        let json = text(&all);
        assert!(!json.contains(CUTS), "{json}");
        assert!(json.contains("é€\u{2027}\u{202a}\u{84}\u{86}"), "nothing else is escaped: {json}");
        assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), all);
    }

    #[test]
    fn json_is_put_on_one_line_as_it_is() {
        let json = "{\"a\":\r\n[1.0, \"\u{2028}\u{85}é\"]}";
        let mut out = b"data: ".to_vec();
        raw_part(&mut out, json);
        let want = "data: {\"a\":  [1.0, \"\\u2028\\u0085é\"]}";
        assert_eq!(String::from_utf8(out).expect("UTF-8"), want);
    }

    proptest! {
        #[test]
        fn it_reads_back_as_it_was(value: String, key: String) {
            let map = std::collections::BTreeMap::from([(key, value)]);
            let json = text(&map);
            prop_assert!(!json.contains(CUTS));
            prop_assert_eq!(serde_json::from_str::<std::collections::BTreeMap<String, String>>(&json).expect("JSON"), map);
        }
    }
}
