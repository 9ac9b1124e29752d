//! The attributes of any event of the log: those that its publisher gave it, or what the hub knows of it, so that a reader
//! of CloudEvents is sent every event of a topic.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::attributes::{CloudAttributes, HUB_ID, HUB_TOPIC};
use crate::{event::TopicName, hub::frame::Frame};

/// What is escaped in the path of a `source`: all but the unreserved characters of RFC 3986 and the slash.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The type of the data of tombstones and notices of removals, which are the hub's own.
const JSON: &str = "application/json";

/// The type of text whose publisher has not said more. Without the parameter plain HTTP clients read it as Latin-1.
const TEXT: &str = "text/plain; charset=utf-8";

/// The attributes of an event as its readers are sent them: with its place in a trace, its id and its topic.
#[must_use]
pub fn attributes(frame: &Frame) -> CloudAttributes {
    let new = &frame.event.new;
    let (id, topic) = (frame.id.to_string(), new.topic.as_str());
    let mut attributes = CloudAttributes::read(new.metadata.as_ref()).unwrap_or_else(|| {
        let content_type = match new.name {
            _ if new.data.is_binary() => "application/octet-stream",
            ref name if name.is_removed() => JSON,
            _ => TEXT,
        };
        CloudAttributes::of_hub([
            ("id", id.clone()),
            ("source", source(&new.topic)),
            ("type", new.name.as_str().to_owned()),
            ("time", frame.event.time.to_string()),
            ("datacontenttype", content_type.to_owned()),
        ])
    });
    if let Some(parent) = &new.traceparent {
        attributes.set("traceparent", parent.to_string());
    }
    attributes.set(HUB_ID, id);
    attributes.set(HUB_TOPIC, topic.to_owned());
    attributes
}

/// The `source` of events that the hub describes: a reference to their topic at the hub.
#[must_use]
pub fn source(topic: &TopicName) -> String {
    format!("/topics/{}", utf8_percent_encode(topic.as_str(), PATH))
}
