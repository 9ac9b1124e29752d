//! An event in the [JSON format](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md), on
//! one line: its attributes, then `data` or `data_base64`.

use std::io::Write;

use serde::{Serialize, ser::SerializeMap};

use super::{
    attributes::{CloudAttributes, SPEC_VERSION},
    context,
    payload::PayloadForm,
};
use crate::{
    event::json_text,
    hub::frame::{EventEncoder, Frame},
};

/// The encoding of an event as a CloudEvent.
pub static CLOUD_EVENT: EventEncoder = EventEncoder {
    encode: |frame, out| {
        out.reserve(frame.event.new.data.text_len() + 256);
        let form = begin(frame, out);
        data_part(out, &frame.event.new.data.text(), form);
        end(out, form);
    },
};

/// Writes an event up to its data. The caller appends the data in [parts](data_part), in the form that this returns, then
/// the [end].
pub fn begin(frame: &Frame, out: &mut Vec<u8>) -> PayloadForm {
    let attributes = context::attributes(frame);
    let form = PayloadForm::of(&frame.event.new.data, attributes.content_type());
    json_text::write(out, &VersionedContext(&attributes));
    out.pop();
    out.extend_from_slice(match form {
        PayloadForm::Absent => b"",
        PayloadForm::Json => b",\"data\":",
        PayloadForm::Text => b",\"data\":\"",
        PayloadForm::Base64 => b",\"data_base64\":\"",
    });
    form
}

/// Writes a part of the data, which is the base64 of binary data.
pub fn data_part(out: &mut Vec<u8>, part: &str, form: PayloadForm) {
    match form {
        PayloadForm::Absent => {}
        PayloadForm::Json => json_text::raw_part(out, part),
        PayloadForm::Text | PayloadForm::Base64 => json_text::string_part(out, part),
    }
}

/// Writes what follows the data.
pub fn end(out: &mut Vec<u8>, form: PayloadForm) {
    out.extend_from_slice(match form {
        PayloadForm::Absent | PayloadForm::Json => b"}",
        PayloadForm::Text | PayloadForm::Base64 => b"\"}",
    });
}

/// A message of the hub about what it sends, as a gap: an event of no topic's log. `id` must differ from that of every
/// other message of its source.
pub fn hub_message(out: &mut Vec<u8>, id: String, source: String, name: &str, data: &impl Serialize) {
    let content_type = "application/json".to_owned();
    let attributes = [("id", id), ("source", source), ("type", name.to_owned()), ("datacontenttype", content_type)];
    json_text::write(out, &VersionedContext(&CloudAttributes::of_hub(attributes)));
    out.pop();
    write!(out, ",\"data\":{}}}", json_text::text(data)).expect("memory");
}

/// The attributes with their version.
struct VersionedContext<'a>(&'a CloudAttributes);

impl Serialize for VersionedContext<'_> {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut object = out.serialize_map(None)?;
        object.serialize_entry("specversion", SPEC_VERSION)?;
        for (name, value) in self.0.iter() {
            object.serialize_entry(name, value)?;
        }
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        event::{Data, Epoch, Event, EventName, Metadata, Millis, NewEvent, Seq, TopicName, TraceParent, metadata},
        http::api::cloud_events::attributes::CloudAttribute,
    };

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn text(new: NewEvent) -> String {
        let event = Arc::new(Event { seq: Seq(7), time: Millis(0), new });
        let mut out = Vec::new();
        Frame::new(Epoch::new("abcd").expect("valid"), event).write(&CLOUD_EVENT, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    fn read(new: NewEvent) -> Value {
        let text = text(new);
        serde_json::from_str(&text).expect(&text)
    }

    fn event(data: impl Into<Data>) -> NewEvent {
        NewEvent::new(TopicName::new("jobs/ü 1").expect("valid"), data)
    }

    fn with_type(data: impl Into<Data>, content_type: &str) -> NewEvent {
        let sent =
            [("specversion", "1.0"), ("id", "1"), ("source", "/s"), ("type", "t"), ("datacontenttype", content_type)];
        let sent = sent.map(|(name, value)| (name.to_owned(), CloudAttribute::Text(value.to_owned())));
        let metadata = CloudAttributes::new(sent.into()).expect("valid").metadata().expect("short");
        NewEvent { metadata: Some(metadata), ..event(data) }
    }

    #[test]
    fn an_event_without_attributes_has_those_of_the_hub() {
        let new = NewEvent {
            name: EventName::new("step").expect("valid"),
            traceparent: TraceParent::parse(TRACE.as_bytes()).map(Arc::new),
            ..event("a\n\"b\"")
        };
        let want = json!({
            "specversion": "1.0", "id": "abcd-7", "source": "/topics/jobs/%C3%BC%201", "type": "step",
            "time": "1970-01-01T00:00:00.000Z", "datacontenttype": "text/plain; charset=utf-8", "traceparent": TRACE,
            "gaplessid": "abcd-7", "gaplesstopic": "jobs/ü 1", "data": "a\n\"b\"",
        });
        assert_eq!(read(new), want);
        let binary = read(event(Data::binary(b"\xff".as_slice().into())));
        assert_eq!(
            (&binary["datacontenttype"], &binary["data_base64"]),
            (&json!("application/octet-stream"), &json!("/w=="))
        );
        assert_eq!(binary.get("data"), None);
    }

    #[test]
    fn json_is_sent_as_it_is_on_one_line() {
        let data = "{\"a\": [1.0,\r\n 1e400],\n\"b\":\"\u{2028}\"}";
        let sent = text(with_type(data, "application/json"));
        let want = ",\"data\":{\"a\": [1.0,   1e400], \"b\":\"\\u2028\"}}";
        assert!(sent.ends_with(want), "{sent}");
        let none = read(with_type("", "application/json"));
        assert_eq!((none.get("data"), none.get("data_base64")), (None, None));
        assert_eq!(read(with_type("7", "text/plain"))["data"], json!("7"));
        assert_eq!(read(with_type("not JSON", "application/json"))["data"], json!("not JSON"));
    }

    #[test]
    fn metadata_that_cannot_be_read_counts_for_nothing() {
        let broken = Metadata::new(metadata::CLOUD_EVENTS, b"\x01{").expect("short");
        assert_eq!(read(NewEvent { metadata: Some(broken), ..event("x") })["id"], json!("abcd-7"));
    }

    #[test]
    fn a_tombstone_says_what_it_is() {
        let event = Event { seq: Seq(7), time: Millis(0), new: with_type("a secret", "text/plain") };
        let tombstone = Frame::new(Epoch::new("abcd").expect("valid"), Arc::new(event)).tombstone();
        let mut out = Vec::new();
        tombstone.write(&CLOUD_EVENT, &mut out);
        let sent: Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!((&sent["type"], &sent["data"]["id"]), (&json!("hub.removed"), &json!("abcd-7")));
    }
}
