//! JSON as an event's data: without the white space between tokens, otherwise exactly as it was sent.
//!
//! Numbers are never parsed, so that 1.0, 1e400 and 12345678901234567890 arrive as they were sent.

use serde_json::value::RawValue;

use super::fast_path;
use crate::{
    event::{Data, data::BASE64},
    http::message::problem::{Code, Problem},
};

/// Deepest nesting of arrays and objects: what most JSON parsers accept (serde_json's own limit), so that no subscriber
/// receives JSON that it cannot parse.
const MAX_DEPTH: usize = 128;

/// The same for data that is sent within two levels: those of an event of a batch.
pub(super) const MAX_DEPTH_IN_BATCH: usize = MAX_DEPTH - 2;

/// The data of an event: a string's text, any other JSON compact.
pub(super) fn data(value: &RawValue) -> Result<Data, Problem> {
    let json = value.get();
    match fast_path::string(json) {
        Some(text) => Ok(text.into()),
        None if json.starts_with('"') => text(json).map(Data::from),
        None => compact(json, MAX_DEPTH).map(Data::from),
    }
}

/// The data of an event whose envelope says how it is encoded: binary data as base64.
pub(super) fn encoded(value: &RawValue, encoding: &str) -> Result<Data, Problem> {
    let invalid = |detail| Err(Problem::new(Code::BodyInvalid, detail));
    if encoding != BASE64 {
        return invalid("'encoding' must be \"base64\", for binary data; leave it out for text");
    }
    if !value.get().starts_with('"') {
        return invalid("the 'data' of an envelope with 'encoding' must be a string of base64");
    }
    match base64(value) {
        Some(bytes) => Ok(Data::binary(bytes.into())),
        None => invalid(
            "'data' is not base64, as 'encoding' says; use the standard alphabet (+ and /) with its padding, \
                         without line breaks",
        ),
    }
}

/// The bytes of a string of base64; `None` when it is none.
pub(super) fn base64(value: &RawValue) -> Option<Vec<u8>> {
    let json = value.get();
    match fast_path::string(json) {
        Some(text) => Data::from_base64(text),
        None if json.starts_with('"') => Data::from_base64(&text(json).ok()?),
        None => None,
    }
}

/// Whether a text is JSON of at most this depth that every reader can parse.
///
/// # Errors
/// Why not.
pub(super) fn check(text: &str, depth: usize) -> Result<(), Problem> {
    let value: &RawValue = serde_json::from_str(text).map_err(|error| malformed(&error))?;
    compact(value.get(), depth).map(|_| ())
}

/// The text of a JSON string whose grammar was checked. Only a lone surrogate can still make it invalid.
pub(super) fn text(json: &str) -> Result<String, Problem> {
    let detail = "a \\u escape is a lone surrogate, half of a character; send the character itself, or both halves";
    serde_json::from_str(json).map_err(|_| Problem::new(Code::BodyInvalid, detail))
}

/// `json`, whose grammar was checked, without the white space between its tokens; at most `max_depth` levels of it.
pub(super) fn compact(json: &str, max_depth: usize) -> Result<String, Problem> {
    let mut out = String::with_capacity(json.len());
    let mut depth = 0_usize;
    let mut rest = json;
    while let Some(first) = rest.bytes().next() {
        let token = if first == b'"' { string_length(rest) } else { 1 };
        match first {
            b'"' if rest[..token].contains("\\u") => {
                text(&rest[..token])?;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        if depth > max_depth {
            let detail =
                format!("the JSON is nested deeper than {max_depth} levels; flatten it or send it as a string");
            return Err(Problem::new(Code::BodyInvalid, detail));
        }
        if !first.is_ascii_whitespace() {
            out.push_str(&rest[..token]);
        }
        rest = &rest[token..];
    }
    Ok(out)
}

/// The length of the string token that `rest` starts with, both quotes included.
fn string_length(rest: &str) -> usize {
    let mut at = 1;
    loop {
        at += rest[at..].find(['"', '\\']).expect("the grammar was checked");
        if rest[at..].starts_with('"') {
            return at + 1;
        }
        at += 1 + rest[at + 1..].chars().next().map_or(0, char::len_utf8);
    }
}

/// The problem for text that is not JSON, or not the JSON that is expected.
pub(super) fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(Code::BodyInvalid, format!("the JSON cannot be used: {error}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn parse(json: &str) -> Result<String, Problem> {
        data(serde_json::from_str(json).map_err(|error| malformed(&error))?).map(|data| data.text().into_owned())
    }

    #[test]
    fn only_white_space_between_tokens_is_removed() {
        for (json, want) in [
            (" { \"a b\" : [ 1.0 , 1e400,\t12345678901234567890 ] }\n", "{\"a b\":[1.0,1e400,12345678901234567890]}"),
            ("[\"\\\" \\\\\", \" \\u00e9 ü\"]", "[\"\\\" \\\\\",\" \\u00e9 ü\"]"),
            (" null ", "null"),
            ("-0", "-0"),
            ("{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}"),
        ] {
            assert_eq!(parse(json).as_deref(), Ok(want));
        }
    }

    #[test]
    fn a_string_is_its_text() {
        assert_eq!(parse(r#""a\n\u0000\ud83d\ude00""#).as_deref(), Ok("a\n\0😀"));
    }

    #[test]
    fn lone_surrogates_are_refused_wherever_they_are() {
        for json in [r#""\ud800""#, r#"["\udc00x"]"#, r#"{"\ud800\ud800":1}"#] {
            assert_eq!(parse(json).expect_err(json).code, Code::BodyInvalid);
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(parse(&nested(MAX_DEPTH)), Ok(nested(MAX_DEPTH)));
        assert!(parse(&nested(MAX_DEPTH + 1)).is_err());
        assert!(parse(&nested(500_000)).is_err());
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| Value::from(map.into_iter().collect::<serde_json::Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #[test]
        fn compacting_changes_nothing_but_white_space(value in any_json()) {
            let pretty = serde_json::to_string_pretty(&value).expect("JSON");
            let want = match &value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            prop_assert_eq!(parse(&pretty), Ok(want));
        }
    }
}
