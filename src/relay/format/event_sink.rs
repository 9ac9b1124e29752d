//! Events derived from one event of the log, as SSE or as lines. Its id stands on the last of them: a client that has
//! received that one has received all of them.
//!
//! An event is ended when the next one begins, or with the id. `id` is the last member of a line, as it is the last
//! line of an SSE event.

use std::io::Write;

use serde::Serialize;

use crate::event::{EventId, json_text, sse};

/// The framing of derived events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventShape {
    /// `text/event-stream`.
    Sse,
    /// One JSON object `{"event","data","id"?}` a line.
    Lines,
}

/// Appends the events that are derived from one event of the log.
pub(super) struct EventSink<'a> {
    out: &'a mut Vec<u8>,
    shape: EventShape,
    open: bool,
}

impl<'a> EventSink<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>, shape: EventShape) -> Self {
        Self { out, shape, open: false }
    }

    /// Appends an event; in SSE, one with an empty `name` has none.
    pub(super) fn event(&mut self, name: &str, data: &impl Serialize) {
        self.begin(name);
        json_text::write(self.out, data);
    }

    /// Appends an SSE event without a name whose data is this line.
    pub(super) fn line(&mut self, data: &str) {
        self.begin("");
        self.out.extend_from_slice(data.as_bytes());
    }

    /// Ends the last event. `None`: the events are in no log.
    pub(super) fn finish(mut self, id: Option<EventId>) {
        match (self.open, id, self.shape) {
            (true, Some(id), EventShape::Sse) => sse::end(self.out, id),
            (true, Some(id), EventShape::Lines) => {
                write!(self.out, ",\"id\":\"{id}\"}}\n").expect("writing to memory");
            }
            _ => self.end_open(),
        }
    }

    fn begin(&mut self, name: &str) {
        self.end_open();
        self.open = true;
        match self.shape {
            EventShape::Sse => sse::begin_named(self.out, name),
            // A name is the relay's own and needs no escape.
            EventShape::Lines => write!(self.out, "{{\"event\":\"{name}\",\"data\":").expect("writing to memory"),
        }
    }

    fn end_open(&mut self) {
        match (std::mem::take(&mut self.open), self.shape) {
            (false, _) => {}
            (true, EventShape::Sse) => sse::end_without_id(self.out),
            (true, EventShape::Lines) => self.out.extend_from_slice(b"}\n"),
        }
    }
}
