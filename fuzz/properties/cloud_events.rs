//! What is taken as CloudEvents, sent as CloudEvents, is one line of JSON, and is taken again as the same events.
//!
//! Input: a first byte that chooses the mode, then a body; in binary mode lines `name: value` of headers before it.

use std::sync::Arc;

use gapless::{
    event::{Epoch, Event, Millis, NewEvent, Seq},
    http::api::{cloud_events::json_event::CLOUD_EVENT, publish::read_cloud_events},
    hub::frame::Frame,
};
use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};

/// Largest data of one event, in bytes: small, so that the fuzzer reaches the limit.
const EVENT_BYTES: usize = 256;

/// Parses the input in its mode.
pub(crate) fn holds_for(input: &[u8]) {
    let Some((mode, input)) = input.split_first() else { return };
    let (headers, body) = match mode % 3 {
        0 => (of_type("application/cloudevents+json"), input),
        1 => (of_type("application/cloudevents-batch+json"), input),
        _ => binary(input),
    };
    let Ok(events) = read_cloud_events(headers, body, EVENT_BYTES) else { return };
    // A body in binary mode is bounded when it is read.
    assert!(!events.is_empty() && events.iter().all(|event| mode % 3 == 2 || event.data.len() <= EVENT_BYTES));
    let sent = sent(&events);
    assert!(!sent.contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']), "{sent:?}");
    let again = read_cloud_events(of_type("application/cloudevents-batch+json"), sent.as_bytes(), usize::MAX);
    let again = again.unwrap_or_else(|problem| panic!("it was taken before: {problem:?} {sent}"));
    // White space between the tokens of JSON is kept in binary mode only.
    let tokens = |text: &str| text.replace(|c: char| c.is_ascii_whitespace(), "");
    assert_eq!(tokens(&self::sent(&again)), tokens(&sent));
    let is_same = |(one, other): (&NewEvent, &NewEvent)| {
        (&one.name, &one.metadata, &one.traceparent) == (&other.name, &other.metadata, &other.traceparent)
    };
    assert!(events.iter().zip(&again).all(is_same), "{events:?} {again:?}");
}

fn of_type(content_type: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))])
}

fn binary(input: &[u8]) -> (HeaderMap, &[u8]) {
    let mut headers =
        HeaderMap::from_iter([(HeaderName::from_static("ce-specversion"), HeaderValue::from_static("1.0"))]);
    let mut rest = input;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { break };
        let name = HeaderName::from_bytes(&line[..colon]);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii())) {
            headers.append(name, value);
        }
    }
    (headers, rest)
}

/// The events as a batch.
fn sent(events: &[NewEvent]) -> String {
    let mut out = Vec::from(b"[");
    for (seq, new) in (1..).zip(events) {
        let event = Event { seq: Seq(seq), time: Millis(0), new: new.clone() };
        if out.len() > 1 {
            out.push(b',');
        }
        Frame::new(Epoch::new("abcd").expect("valid"), Arc::new(event)).write(&CLOUD_EVENT, &mut out);
    }
    out.push(b']');
    String::from_utf8(out).expect("UTF-8")
}
