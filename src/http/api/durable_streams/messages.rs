//! The messages in a body of JSON: the elements of an array, or the one value.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::{
    http::message::problem::{Code, Problem},
    hub::publisher::MAX_EVENTS,
};

/// Splits a body into its messages; an array is taken apart one level deep. They share the body's memory.
///
/// # Errors
/// When the body is not JSON, or has more than [`MAX_EVENTS`] messages.
pub fn split(body: &Bytes) -> Result<Vec<Bytes>, Problem> {
    let invalid = |error: serde_json::Error| {
        Problem::new(Code::BodyInvalid, format!("the stream's messages are JSON, and the body is not: {error}"))
    };
    if body.trim_ascii_start().first() != Some(&b'[') {
        let whole: &RawValue = serde_json::from_slice(body).map_err(invalid)?;
        return Ok(vec![body.slice_ref(whole.get().as_bytes())]);
    }
    let elements: Vec<&RawValue> = serde_json::from_slice(body).map_err(invalid)?;
    if elements.len() > MAX_EVENTS {
        let detail =
            format!("the array has {} messages; one request takes at most {MAX_EVENTS}: split it", elements.len());
        return Err(Problem::new(Code::TooLarge, detail));
    }
    Ok(elements.into_iter().map(|element| body.slice_ref(element.get().as_bytes())).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(body: &str) -> Result<Vec<String>, Problem> {
        let messages = split(&Bytes::copy_from_slice(body.as_bytes()))?;
        Ok(messages.into_iter().map(|message| String::from_utf8(message.to_vec()).expect("text")).collect())
    }

    #[test]
    fn an_array_is_taken_apart_one_level_deep() {
        assert_eq!(
            of(r#" [1, {"a": [2]} ,[3,4] , "x"]"#),
            Ok(["1", r#"{"a": [2]}"#, "[3,4]", r#""x""#].map(str::to_owned).into())
        );
        assert_eq!(of("\n {\"a\":1} "), Ok(vec!["{\"a\":1}".to_owned()]));
        assert_eq!(of("[]"), Ok(Vec::new()));
        assert_eq!(of("[[]]"), Ok(vec!["[]".to_owned()]));
        assert_eq!(of("null"), Ok(vec!["null".to_owned()]));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for body in ["", "{", "[1,]", "1 2", "[1]x", "\u{feff}1"] {
            assert_eq!(of(body).expect_err(body).code, Code::BodyInvalid);
        }
        for body in [&b"\"\xff\""[..], b"[\"\xff\"]", b"[1]\xff", b"\x0c[1]"] {
            assert_eq!(split(&Bytes::from_static(body)).expect_err("no text").code, Code::BodyInvalid);
        }
    }

    #[test]
    fn a_request_has_a_greatest_number_of_messages() {
        let array = |count: usize| format!("[{}]", vec!["0"; count].join(","));
        assert_eq!(of(&array(MAX_EVENTS)).map(|messages| messages.len()), Ok(MAX_EVENTS));
        assert_eq!(of(&array(MAX_EVENTS + 1)).expect_err("too many").code, Code::TooLarge);
    }

    proptest! {
        #[test]
        fn any_body_is_read_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = split(&body.into());
        }
    }
}
