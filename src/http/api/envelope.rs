//! An event as a JSON object: `{"topic","id","time","event","data"}`.

use bytes::Bytes;
use serde::Serialize;

use crate::{http::message::json_text, hub::frame::Frame};

#[derive(Serialize)]
struct EventEnvelope<'a> {
    topic: &'a str,
    id: String,
    time: String,
    event: &'a str,
    data: &'a str,
}

/// The envelope of `frame`. That of a live frame is encoded once and shared.
pub fn envelope(frame: &Frame) -> Bytes {
    frame.envelope(|frame| with_data(frame, frame.event.new.data.as_str()))
}

/// The envelope up to its data. The caller appends the data in parts, each [`escaped`], then [`END`].
pub fn begin(frame: &Frame) -> Vec<u8> {
    let mut text = with_data(frame, "");
    text.truncate(text.len() - END.len());
    text
}

/// The end of the data and of the envelope.
pub const END: &[u8] = b"\"}";

/// Appends a part of the data to `out`, escaped for JSON.
pub fn escaped(out: &mut Vec<u8>, part: &str) {
    let text = json_text::bytes(&part);
    out.extend_from_slice(&text[1..text.len() - 1]);
}

fn with_data(frame: &Frame, data: &str) -> Vec<u8> {
    let new = &frame.event.new;
    let envelope = EventEnvelope {
        topic: new.topic.as_str(),
        id: frame.id.to_string(),
        time: frame.event.time.to_string(),
        event: new.name.as_str(),
        data,
    };
    json_text::bytes(&envelope)
}
