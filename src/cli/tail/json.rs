//! JSON for people: colours, and a line per member. The text is rearranged and never parsed into values, so that
//! numbers, order and duplicate keys stay as they were published.

use std::io::{self, Write};

use clap::builder::styling::Style;
use serde::de::IgnoredAny;

use super::style::{JSON_KEY, JSON_LITERAL, JSON_TEXT};
use crate::cli::output::Screen;

/// Columns of a level.
const LEVEL: &str = "  ";

/// Most levels that are indented: deeper ones would be out of sight, and their spaces much longer than their data.
const MAX_LEVELS: usize = 40;

/// Whether `text` is a JSON object or array.
pub(super) fn is_container(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// How JSON is laid out.
#[derive(Debug, Clone, Copy)]
pub(super) enum JsonLayout<'a> {
    /// As it is.
    Unchanged,
    /// A line per member. Each line but the first begins with this text.
    Indented(&'a str),
}

/// Writes `json`, which is valid, without a line feed at the end.
pub(super) fn write_json<W: Write>(out: &mut Screen<W>, json: &str, layout: JsonLayout<'_>) -> io::Result<()> {
    let mut writer = JsonWriter { out, layout, depth: 0 };
    let mut rest = json;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => text_length(rest),
            _ if is_structure(first) => 1,
            _ if is_space(first) => rest.find(|c| !is_space(c)).unwrap_or(rest.len()),
            _ => rest.find(|c| is_structure(c) || is_space(c)).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        let next = rest.trim_start_matches(is_space);
        match first {
            '"' if next.starts_with(':') => writer.plain(token, JSON_KEY)?,
            '"' => writer.plain(token, JSON_TEXT)?,
            '{' | '[' => {
                writer.plain(token, Style::new())?;
                if matches!(layout, JsonLayout::Indented(_)) && next.starts_with(['}', ']']) {
                    // An empty one stays on its line.
                    writer.plain(&next[..1], Style::new())?;
                    rest = &next[1..];
                } else {
                    writer.depth += 1;
                    writer.line()?;
                }
            }
            '}' | ']' => {
                writer.depth -= 1;
                writer.line()?;
                writer.plain(token, Style::new())?;
            }
            ',' => {
                writer.plain(token, Style::new())?;
                writer.line()?;
            }
            ':' => {
                let spaced = matches!(layout, JsonLayout::Indented(_));
                writer.plain(if spaced { ": " } else { ":" }, Style::new())?;
            }
            _ if is_space(first) => {
                if matches!(layout, JsonLayout::Unchanged) {
                    writer.plain(token, Style::new())?;
                }
            }
            _ => writer.plain(token, JSON_LITERAL)?,
        }
    }
    Ok(())
}

struct JsonWriter<'a, W> {
    out: &'a mut Screen<W>,
    layout: JsonLayout<'a>,
    depth: usize,
}

impl<W: Write> JsonWriter<'_, W> {
    fn plain(&mut self, text: &str, style: Style) -> io::Result<()> {
        self.out.styled(style, text, "")
    }

    /// Begins a line, if the layout has lines.
    fn line(&mut self) -> io::Result<()> {
        let JsonLayout::Indented(prefix) = self.layout else { return Ok(()) };
        self.out.write_all(b"\n")?;
        self.out.write_all(prefix.as_bytes())?;
        (0..self.depth.min(MAX_LEVELS)).try_for_each(|_| self.out.write_all(LEVEL.as_bytes()))
    }
}

fn is_structure(c: char) -> bool {
    matches!(c, '{' | '}' | '[' | ']' | ',' | ':' | '"')
}

/// Whether `c` is a space of JSON.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// The length of the JSON text at the start of `rest`, with its quotes.
fn text_length(rest: &str) -> usize {
    let mut escaped = false;
    let end = rest[1..].find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.map_or(rest.len(), |end| end + 2)
}

#[cfg(test)]
mod tests {
    use clap::ColorChoice;

    use super::*;

    fn written(json: &str, layout: JsonLayout<'_>, choice: ColorChoice) -> String {
        let mut screen = Screen::new(false, Vec::new()).colored(choice);
        write_json(&mut screen, json, layout).expect("memory");
        String::from_utf8(screen.into_inner()).expect("UTF-8")
    }

    fn indented(json: &str) -> String {
        written(json, JsonLayout::Indented("> "), ColorChoice::Never)
    }

    #[test]
    fn each_member_has_a_line() {
        let json = r#"{"a":1.50,"b":[true ,null],"c":{},"d":[ ],"e":"x, {\"y\": \\"}"#;
        let lines = ["{", r#">   "a": 1.50,"#, r#">   "b": ["#, ">     true,", ">     null", ">   ],"];
        let more = [r#">   "c": {},"#, r#">   "d": [],"#, r#">   "e": "x, {\"y\": \\""#, "> }"];
        assert_eq!(indented(json), [&lines[..], &more].concat().join("\n"));
    }

    #[test]
    fn indentation_is_bounded() {
        let json = "[".repeat(500) + "1" + &"]".repeat(500);
        assert!(is_container(&json));
        let longest = indented(&json).lines().map(str::len).max();
        assert_eq!(longest, Some("> ".len() + MAX_LEVELS * LEVEL.len() + 1));
    }

    proptest::proptest! {
        #[test]
        fn the_value_is_the_same_and_unchanged_json_is_unchanged(seed: u64) {
            let mut random = fastrand::Rng::with_seed(seed);
            let value = value(&mut random, 4);
            for json in [value.to_string(), serde_json::to_string_pretty(&value).expect("JSON")] {
                let again: serde_json::Value = serde_json::from_str(&indented(&json).replace("\n> ", "\n")).expect("JSON");
                proptest::prop_assert_eq!(&again, &value);
                proptest::prop_assert_eq!(written(&json, JsonLayout::Unchanged, ColorChoice::Never), json);
            }
        }
    }

    fn value(random: &mut fastrand::Rng, depth: u32) -> serde_json::Value {
        let text = |random: &mut fastrand::Rng| -> String {
            (0..random.usize(..6))
                .map(|_| *random.choice(&['"', '\\', 'a', ':', ',', '{', ']', '\u{fc}', '\n']).expect("some"))
                .collect()
        };
        match random.u32(..if depth == 0 { 3 } else { 5 }) {
            0 => serde_json::Value::Null,
            1 => random.i32(..).into(),
            2 => text(random).into(),
            3 => (0..random.u32(..4)).map(|_| value(random, depth - 1)).collect(),
            _ => (0..random.u32(..4))
                .map(|_| (text(random), value(random, depth - 1)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    #[test]
    fn keys_text_and_literals_are_coloured() {
        let shown = written(r#"{"a": ["b",1]}"#, JsonLayout::Unchanged, ColorChoice::Always);
        assert_eq!(shown, "{\u{1b}[36m\"a\"\u{1b}[0m: [\u{1b}[32m\"b\"\u{1b}[0m,\u{1b}[35m1\u{1b}[0m]}");
    }

    #[test]
    fn only_objects_and_arrays_are_laid_out() {
        for (text, want) in
            [("{}", true), (" [1]", true), ("{\"a\"", false), ("1", false), ("\"a\"", false), ("[1] x", false)]
        {
            assert_eq!(is_container(text), want, "{text}");
        }
    }
}
