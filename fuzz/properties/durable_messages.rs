//! A body is taken apart into the messages that it has, byte for byte, or is no JSON.
//!
//! Input: the body.

use bytes::Bytes;
use gapless::http::{api::durable_streams::messages::split, message::problem::Code};
use serde_json::value::RawValue;

/// Splits the input, and what it was split into.
pub(crate) fn holds_for(input: &[u8]) {
    let whole = serde_json::from_slice::<&RawValue>(input).ok().map(RawValue::get);
    let messages = match split(&Bytes::copy_from_slice(input)) {
        Ok(messages) => messages,
        Err(problem) => {
            let is_too_much = problem.code == Code::TooLarge && whole.is_some_and(|text| text.starts_with('['));
            assert!(is_too_much || (problem.code == Code::BodyInvalid && whole.is_none()), "{problem:?}");
            return;
        }
    };
    let whole = whole.expect("JSON").trim();
    for message in &messages {
        let text = std::str::from_utf8(message).expect("text");
        let value = serde_json::from_str::<&RawValue>(text).expect("JSON");
        assert_eq!(value.get(), text, "without the space around it");
        assert!(whole.contains(text));
    }
    if !whole.starts_with('[') {
        assert_eq!(messages, [whole.as_bytes()]);
        return;
    }
    // As a reader gets them.
    let read = [b"[", messages.join(&b","[..]).as_slice(), b"]"].concat();
    assert_eq!(split(&read.into()).expect("JSON"), messages);
}
