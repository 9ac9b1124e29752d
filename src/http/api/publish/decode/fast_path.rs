//! Parses the JSON that most publishers send by plain comparison: `{"topic":"…","data":"…"}` in this order, or a
//! string, both without escapes. Anything else, valid or not, is left to `serde_json`, which alone decides what valid
//! JSON is.

use memchr::memchr2;

/// Topic and data of such an envelope; `None` for anything else.
pub(super) fn envelope(json: &str) -> Option<(&str, &str)> {
    let topic = value(json.strip_prefix('{')?, "\"topic\":")?;
    let (topic, rest) = text(topic)?;
    let rest = rest.strip_prefix(',')?;
    let (data, rest) = text(value(rest.strip_prefix(' ').unwrap_or(rest), "\"data\":")?)?;
    (rest == "}").then_some((topic, data))
}

/// The text of such a string; `None` for anything else.
pub(super) fn string(json: &str) -> Option<&str> {
    let (text, rest) = text(json)?;
    rest.is_empty().then_some(text)
}

/// What follows `key` and an optional space.
fn value<'a>(json: &'a str, key: &str) -> Option<&'a str> {
    let rest = json.strip_prefix(key)?;
    Some(rest.strip_prefix(' ').unwrap_or(rest))
}

/// The text of the string that `json` begins with, and what follows it.
fn text(json: &str) -> Option<(&str, &str)> {
    let rest = json.strip_prefix('"')?;
    let (text, rest) = rest.split_at(memchr2(b'"', b'\\', rest.as_bytes())?);
    // JSON requires control characters to be escaped. A fold without an early exit, so that the compiler vectorizes it.
    let lowest = text.bytes().fold(u8::MAX, u8::min);
    Some((text, rest.strip_prefix('"').filter(|_| lowest >= b' ')?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_common_forms_are_parsed_and_all_others_left() {
        for json in [r#"{"topic":"a/b","data":"x, y"}"#, r#"{"topic": "a/b", "data": "x, y"}"#] {
            assert_eq!(envelope(json), Some(("a/b", "x, y")), "{json}");
        }
        for json in [
            "",
            "{}",
            r#"{"topic":"a","data":"x"} "#,
            r#"{"topic":"a","data":"x"}}"#,
            r#"{"topic":"a","data":"x","data":"y"}"#,
            r#"{"topic":"a","data":"x\n"}"#,
            r#"{"topic":"a","data":1}"#,
            r#"{"data":"x","topic":"a"}"#,
            r#"{"topic":"a""data":"x"}"#,
            r#"{"topic":"a","data":"x}"#,
            "{\"topic\":\"a\",\"data\":\"\t\"}",
        ] {
            assert_eq!(envelope(json), None, "{json}");
        }
        assert_eq!((string("\"ü\""), string("\"\""), string("\"a\"b"), string("1")), (Some("ü"), Some(""), None, None));
    }

    proptest! {
        #[test]
        fn what_is_parsed_equals_what_serde_json_parses(topic in ".{0,9}", data in "[ -~é\\\\\"\u{0}-\u{1f}]{0,40}", end in "[} ,]{0,2}") {
            let json = format!("{{\"topic\":\"{topic}\",\"data\":\"{data}\"{end}");
            if let Some((topic, data)) = envelope(&json) {
                prop_assert_eq!(serde_json::from_str::<Value>(&json).expect("JSON"), json!({"topic": topic, "data": data}));
            }
            let json = format!("\"{data}\"{end}");
            if let Some(text) = string(&json) {
                prop_assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), text);
            }
        }

        #[test]
        fn anything_without_an_escape_is_parsed(topic in "[a-z/ü]{0,9}", data in "[ -!#-\\[\\]-~é]{0,40}") {
            let json = json!({"topic": topic, "data": data});
            let json = format!("{{\"topic\":{},\"data\":{}}}", json["topic"], json["data"]);
            prop_assert_eq!(envelope(&json), Some((&*topic, &*data)));
        }
    }
}
