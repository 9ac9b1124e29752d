//! No body makes the reader of envelopes panic, and what it takes, written again, is taken as the same.
//!
//! Input: the body.

use gapless::{event::NewEvent, http::publish::read_json};
use serde_json::{Value, json};

/// Data of one event at most: small, so that the limit is met.
const EVENT_BYTES: usize = 256;

/// Reads the input as the body of a publish without a query.
pub(crate) fn holds_for(input: &[u8]) {
    let Ok(events) = read_json(input, EVENT_BYTES) else { return };
    assert!(!events.is_empty() && events.iter().all(|event| event.data.len() <= EVENT_BYTES));
    let again = events.iter().map(envelope).collect::<Value>().to_string();
    assert_eq!(read_json(again.as_bytes(), EVENT_BYTES).expect("it was taken before"), events, "{again}");
}

fn envelope(event: &NewEvent) -> Value {
    let mut envelope = json!({
        "topic": event.topic.as_str(),
        "data": event.data.as_str(),
        "event": event.name.as_str(),
        "close": event.close,
    });
    if let Some(retry) = event.retry {
        envelope["retry"] = retry.into();
    }
    envelope
}
