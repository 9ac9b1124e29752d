//! An event as a JSON object: `{"topic","id","time","event","data"}`.

use serde::Serialize;

use super::json_text;
use crate::hub::frame::Frame;

#[derive(Serialize)]
struct Envelope<'a> {
    topic: &'a str,
    id: String,
    time: String,
    event: &'a str,
    data: &'a str,
}

/// The envelope of `frame`, made once and shared.
pub fn envelope(frame: &Frame) -> &bytes::Bytes {
    frame.envelope(|frame| {
        let new = &frame.event.new;
        let envelope = Envelope {
            topic: new.topic.as_str(),
            id: frame.id.to_string(),
            time: frame.event.time.to_string(),
            event: new.name.as_str(),
            data: new.data.as_str(),
        };
        json_text::bytes(&envelope)
    })
}
