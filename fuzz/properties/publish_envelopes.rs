//! No body makes the envelope parser panic, and what it accepts, serialized again, parses to the same events.
//!
//! Input: the body.

use gapless::{event::NewEvent, http::api::publish::read_json};
use serde_json::{Value, json};

/// Largest data of one event, in bytes: small, so that the fuzzer reaches the limit.
const EVENT_BYTES: usize = 256;

/// Parses the input as the body of a publish without a query.
pub(crate) fn holds_for(input: &[u8]) {
    let Ok(events) = read_json(input, EVENT_BYTES) else { return };
    assert!(!events.is_empty() && events.iter().all(|event| event.data.len() <= EVENT_BYTES));
    let again = events.iter().map(envelope).collect::<Value>().to_string();
    assert_eq!(read_json(again.as_bytes(), EVENT_BYTES).expect("it was accepted before"), events, "{again}");
}

fn envelope(event: &NewEvent) -> Value {
    let mut envelope = json!({
        "topic": event.topic.as_str(),
        "data": event.data.text(),
        "event": event.name.as_str(),
        "close": event.close,
    });
    if let Some(retry) = event.retry {
        envelope["retry"] = retry.into();
    }
    envelope
}
