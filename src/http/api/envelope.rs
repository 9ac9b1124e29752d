//! An event as a JSON object: `{"topic","id","time","event","traceparent"?,"metadata"?,"encoding"?,"data"}`. Only an export has
//! `metadata`.

use serde::Serialize;

use crate::{
    event::{Data, data::BASE64},
    http::message::json_text,
    hub::frame::{EventEncoder, Frame},
};

#[derive(Serialize)]
struct EventEnvelope<'a> {
    topic: &'a str,
    id: String,
    time: String,
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    data: &'a str,
}

/// The encoding of an event as an envelope.
pub static ENVELOPE: EventEncoder =
    EventEncoder { encode: |frame, out| write(out, &EventEnvelope::of(frame, &frame.event.new.data.text())) };

/// The encoding of an event as an envelope with its metadata.
pub static EXPORTED_ENVELOPE: EventEncoder = EventEncoder {
    encode: |frame, out| {
        let metadata = frame.event.new.metadata.as_ref().map(|metadata| Data::base64(metadata.bytes()));
        write(out, &EventEnvelope { metadata, ..EventEnvelope::of(frame, &frame.event.new.data.text()) });
    },
};

/// The envelope up to its data. The caller appends the data in parts by [`json_text::string_part`], then `"}`.
pub fn begin(frame: &Frame) -> Vec<u8> {
    let mut text = Vec::with_capacity(256);
    write(&mut text, &EventEnvelope::of(frame, ""));
    text.truncate(text.len() - END.len());
    text
}

/// The end of the data and of the envelope.
const END: &[u8] = b"\"}";

fn write(out: &mut Vec<u8>, envelope: &EventEnvelope<'_>) {
    json_text::write(out, envelope);
}

impl<'a> EventEnvelope<'a> {
    fn of(frame: &'a Frame, data: &'a str) -> Self {
        let new = &frame.event.new;
        Self {
            topic: new.topic.as_str(),
            id: frame.id.to_string(),
            time: frame.event.time.to_string(),
            event: new.name.as_str(),
            traceparent: new.traceparent.as_ref().map(ToString::to_string),
            metadata: None,
            encoding: new.data.is_binary().then_some(BASE64),
            data,
        }
    }
}
