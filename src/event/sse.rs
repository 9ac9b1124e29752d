//! Events as the bytes of `text/event-stream` (WHATWG HTML, section 9.2).
//!
//! The same function serves replay and live, so replayed bytes equal live bytes. No bytes of a publisher can form a
//! second event, an `id:` or an `event:` line: every line break in the data, of any kind, starts a new `data:` line.

use std::io::Write;

use memchr::memchr2;

use super::{Epoch, Event, EventId, EventName};

/// Appends one event: `id:`, `event:` unless `message`, `retry:` if set, `data:` lines, blank line.
pub fn encode(out: &mut Vec<u8>, epoch: Epoch, event: &Event) {
    encode_with(out, EventId { epoch, seq: event.seq }, &event.new.name, event, event.new.data.bytes());
}

/// Like [`encode`], with another name and other data in their places (an envelope).
pub fn encode_with(out: &mut Vec<u8>, id: EventId, name: &EventName, event: &Event, data: &[u8]) {
    out.reserve(data.len() + 96);
    begin(out, id, name, event);
    data_part(out, data);
    out.extend_from_slice(END);
}

/// The fields before the data, and the begin of its first line. After [`data_part`]s, [`END`] ends the event.
pub fn begin(out: &mut Vec<u8>, id: EventId, name: &EventName, event: &Event) {
    write!(out, "id: {id}\n").expect("writing to memory");
    if !name.is_default() {
        field(out, "event", name.as_str().as_bytes());
    }
    if let Some(retry) = event.new.retry {
        write!(out, "retry: {retry}\n").expect("writing to memory");
    }
    out.extend_from_slice(b"data: ");
}

/// Ends the last line of data, and the event.
pub const END: &[u8] = b"\n\n";

/// Appends an event of the hub's own (`hub.gap`, `hub.end`), without an id.
pub fn encode_notice(out: &mut Vec<u8>, name: &str, data: &str) {
    encode_own(out, name, None, data);
}

/// Appends an event of the hub's own that moves the client's cursor to `id`.
pub fn encode_own(out: &mut Vec<u8>, name: &str, id: Option<EventId>, data: &str) {
    field(out, "event", name.as_bytes());
    if let Some(id) = id {
        writeln!(out, "id: {id}").expect("writing to memory");
    }
    out.extend_from_slice(b"data: ");
    data_part(out, data.as_bytes());
    out.extend_from_slice(END);
}

/// The line that sets the reconnect delay. No blank line follows it: several clients hand over an empty event for a
/// blank line that ends no data, and the standard reads the line by itself.
#[must_use]
pub fn retry_line(milliseconds: u32) -> Vec<u8> {
    format!("retry: {milliseconds}\n").into_bytes()
}

/// A comment, which clients ignore and idle timeouts do not. Without a blank line, as [`retry_line`].
pub const KEEPALIVE: &[u8] = b":\n";

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// A part of the data, which begins within a line. Whichever of CR, LF and CRLF ends a line, another `data:` line follows it. A
/// part must not end within a CRLF.
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
        encode(
            &mut out,
            Epoch::new("abcd").expect("valid"),
            &Event { seq: Seq(7), prev: Seq(0), time: Millis(0), new },
        );
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_plain_event_is_an_id_and_its_data() {
        assert_eq!(encoded("", "hi", None), "id: abcd-7\ndata: hi\n\n");
        assert_eq!(encoded("", "", None), "id: abcd-7\ndata: \n\n");
        assert_eq!(encoded("tick", "hi", Some(5)), "id: abcd-7\nevent: tick\nretry: 5\ndata: hi\n\n");
    }

    #[test]
    fn an_event_of_the_hubs_own_may_move_the_cursor() {
        let id = EventId { epoch: Epoch::new("abcd").expect("valid"), seq: Seq(7) };
        let mut out = Vec::new();
        encode_own(&mut out, "hub.x", Some(id), "{}");
        encode_notice(&mut out, "hub.y", "{}");
        assert_eq!(out, b"event: hub.x\nid: abcd-7\ndata: {}\n\nevent: hub.y\ndata: {}\n\n");
    }

    #[test]
    fn every_kind_of_line_break_starts_a_data_line() {
        assert_eq!(encoded("", "a\nb\rc\r\nd\n", None), "id: abcd-7\ndata: a\ndata: b\ndata: c\ndata: d\ndata: \n\n");
        assert_eq!(encoded("", "x\r\rid: 9", None), "id: abcd-7\ndata: x\ndata: \ndata: id: 9\n\n");
    }

    #[test]
    fn a_leading_space_is_kept() {
        assert_eq!(encoded("", " a", None), "id: abcd-7\ndata:  a\n\n");
    }
}
