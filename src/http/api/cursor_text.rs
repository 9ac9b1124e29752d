//! The text of a cursor, which each protocol has of its own: here `<epoch>-<seq>`, elsewhere a URN or an offset.

use std::fmt::{self, Display};

use crate::event::{EventId, position::Cursor};

/// How a protocol writes a position of the log as text, and reads it back.
#[derive(Debug)]
pub struct CursorText {
    /// The position that a text names; `None` for text that this protocol does not write.
    pub parse: fn(&str) -> Option<EventId>,
    /// Writes a position. `parse` reads what it writes.
    pub write: fn(EventId, &mut fmt::Formatter<'_>) -> fmt::Result,
}

/// Cursors that are the ids of events, as in receipts.
pub static EVENT_IDS: CursorText = CursorText { parse: EventId::parse, write: |id, f| id.fmt(f) };

impl CursorText {
    /// The cursor that a client sent: any text.
    #[must_use]
    pub fn cursor(&self, text: &str) -> Cursor {
        Cursor::with_id(text, (self.parse)(text))
    }

    /// A position, to be written into a buffer.
    pub fn display(&'static self, id: EventId) -> impl Display {
        fmt::from_fn(move |f| (self.write)(id, f))
    }

    /// The text of a position.
    #[must_use]
    pub fn text(&'static self, id: EventId) -> String {
        self.display(id).to_string()
    }
}
