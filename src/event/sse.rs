//! Encoder for `text/event-stream` (WHATWG HTML, section 9.2).
//!
//! Replay and live delivery use the same function, so replayed bytes equal live bytes. No data of a publisher can form
//! a second event, an `id:` or an `event:` line: every line break in the data, of any kind, starts a new `data:` line.

use std::{fmt::Display, io::Write};

use memchr::memchr2;

use super::{Epoch, Event, EventId, EventName};

/// Appends one event: `event:` unless `message`, `retry:` if set, `data:` lines, `id:`, blank line. Binary data is base64.
///
/// The id comes last: some clients store it as soon as they have read its line. If the connection broke within the data
/// after that, they would resume after an event that they have not received.
pub fn encode(out: &mut Vec<u8>, epoch: Epoch, event: &Event) {
    let data = event.new.data.text_bytes();
    out.reserve(data.len() + 96);
    begin(out, &event.new.name, event);
    data_part(out, &data);
    end(out, EventId { epoch, seq: event.seq });
}

/// Appends the fields before the data, and the beginning of the first `data:` line. Call [`data_part`] for the data,
/// then [`end`].
pub fn begin(out: &mut Vec<u8>, name: &EventName, event: &Event) {
    if !name.is_default() {
        field(out, "event", name.as_str().as_bytes());
    }
    if let Some(retry) = event.new.retry {
        write!(out, "retry: {retry}\n").expect("writing to memory");
    }
    out.extend_from_slice(b"data: ");
}

/// The same for an event without `retry:`. An empty `name` is `message`.
pub fn begin_named(out: &mut Vec<u8>, name: &str) {
    if !matches!(name, "" | "message") {
        field(out, "event", name.as_bytes());
    }
    out.extend_from_slice(b"data: ");
}

/// Ends the last data line, and an event that has no id.
pub fn end_without_id(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\n\n");
}

/// Ends the last data line, and the event. `id` is the text of its cursor, which must have no line break.
pub fn end(out: &mut Vec<u8>, id: impl Display) {
    write!(out, "\nid: {id}\n\n").expect("writing to memory");
}

/// Appends a control event of the hub (`hub.gap`, `hub.end`), without an id.
pub fn encode_notice(out: &mut Vec<u8>, name: &str, data: &str) {
    encode_hub_event(out, name, None::<EventId>, data);
}

/// Appends a control event of the hub; `id`, if given, becomes the client's cursor.
pub fn encode_hub_event(out: &mut Vec<u8>, name: &str, id: Option<impl Display>, data: &str) {
    begin_named(out, name);
    data_part(out, data.as_bytes());
    match id {
        Some(id) => end(out, id),
        None => end_without_id(out),
    }
}

/// The line that sets the reconnect delay. No blank line follows it: several clients dispatch an empty event at a blank
/// line without data, and the standard applies the line without one.
#[must_use]
pub fn retry_line(milliseconds: u32) -> Vec<u8> {
    format!("retry: {milliseconds}\n").into_bytes()
}

/// A comment line: clients ignore it, and it resets idle timeouts. Without a blank line, as [`retry_line`].
pub const KEEPALIVE: &[u8] = b":\n";

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Appends a part of the data; it continues the current `data:` line. Each CR, LF or CRLF starts another `data:` line.
/// A part must not end within a CRLF.
pub fn data_part(out: &mut Vec<u8>, part: &[u8]) {
    let mut rest = part;
    while let Some(end) = memchr2(b'\n', b'\r', rest) {
        out.extend_from_slice(&rest[..end]);
        out.extend_from_slice(b"\ndata: ");
        let skip = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[end + skip..];
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Data, Millis, NewEvent, Seq, TopicName};

    fn encoded(name: &str, data: &str, retry: Option<u32>) -> String {
        let new = NewEvent {
            name: EventName::new(name).expect("valid"),
            retry,
            ..NewEvent::new(TopicName::new("t").expect("valid"), Data::from(data))
        };
        let mut out = Vec::new();
        encode(&mut out, Epoch::new("abcd").expect("valid"), &Event { seq: Seq(7), time: Millis(0), new });
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_plain_event_is_its_data_and_an_id() {
        assert_eq!(encoded("", "hi", None), "data: hi\nid: abcd-7\n\n");
        assert_eq!(encoded("", "", None), "data: \nid: abcd-7\n\n");
        assert_eq!(encoded("tick", "hi", Some(5)), "event: tick\nretry: 5\ndata: hi\nid: abcd-7\n\n");
    }

    #[test]
    fn an_event_of_the_hubs_own_may_move_the_cursor() {
        let id = EventId { epoch: Epoch::new("abcd").expect("valid"), seq: Seq(7) };
        let mut out = Vec::new();
        encode_hub_event(&mut out, "hub.x", Some(id), "{}");
        encode_notice(&mut out, "hub.y", "{}");
        assert_eq!(out, b"event: hub.x\ndata: {}\nid: abcd-7\n\nevent: hub.y\ndata: {}\n\n");
    }

    #[test]
    fn every_kind_of_line_break_starts_a_data_line() {
        assert_eq!(encoded("", "a\nb\rc\r\nd\n", None), "data: a\ndata: b\ndata: c\ndata: d\ndata: \nid: abcd-7\n\n");
        assert_eq!(encoded("", "x\r\rid: 9", None), "data: x\ndata: \ndata: id: 9\nid: abcd-7\n\n");
    }

    #[test]
    fn a_leading_space_is_kept() {
        assert_eq!(encoded("", " a", None), "data:  a\nid: abcd-7\n\n");
    }
}
