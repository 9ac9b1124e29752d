//! Untrusted text in messages and on a terminal.
//!
//! Terminals interpret escape sequences: one in an event could set the title, fill the clipboard, or hide earlier
//! output.

use std::fmt::Write as _;

pub(super) use gapless_client::problem::one_line;

use crate::event::topic::is_format;

/// `text` with control characters escaped as in JSON, `\u001b`, so that a line of JSON stays valid. Line feeds and tabs
/// are kept, and so are the two joiners that emoji and several scripts need.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if must_be_escaped(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(shown, "\\u{unit:04x}").expect("memory");
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Whether a terminal may not display `c` as a visible character: C0, DEL, C1, and characters that are invisible,
/// change the direction of the text, or break the line.
fn must_be_escaped(c: char) -> bool {
    match c {
        '\n' | '\t' | '\u{200c}' | '\u{200d}' => false,
        '\u{2028}' | '\u{2029}' => true,
        c => c.is_control() || is_format(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_the_rest_is_kept() {
        for (text, want) in [
            ("plain\tä\n", "plain\tä\n"),
            ("\u{1b}]0;x\u{7}", "\\u001b]0;x\\u0007"),
            ("a\rb\u{8}\0\u{7f}", "a\\u000db\\u0008\\u0000\\u007f"),
            ("\u{9b}2J", "\\u009b2J"),
            ("a\u{202e}b\u{2066}\u{feff}\u{e0041}", "a\\u202eb\\u2066\\ufeff\\udb40\\udc41"),
            ("1\u{2028}2\u{2029}", "1\\u20282\\u2029"),
            ("\u{1f469}\u{200d}\u{1f467}", "\u{1f469}\u{200d}\u{1f467}"),
        ] {
            assert_eq!(visible(text), want);
        }
    }

    #[test]
    fn a_line_of_json_stays_the_same_json() {
        let data = (0..=0x2070).filter_map(char::from_u32).collect::<String>();
        let json = serde_json::to_string(&data).expect("JSON");
        assert_eq!(serde_json::from_str::<String>(&visible(&json)).expect("JSON"), data);
    }
}
