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

struct OneLine;

impl Formatter for OneLine {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
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
