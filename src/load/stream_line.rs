//! The meaning of a line of a stream, in every dialect.

use super::number;

/// The meaning of a line of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StreamLine<'a> {
    /// The id of the event that is being read.
    Id(&'a [u8]),
    /// An event.
    Event(u64),
    /// Several events.
    Events(Numbers<'a>),
    /// An event that is not from this generator.
    Foreign,
    /// A notice that events are lost, or that no more will follow.
    Notice,
    /// The current event is a control event of the server: a cursor, or a keepalive.
    Control,
    /// The end of the event.
    End,
    /// A line without meaning here.
    Ignored,
}

/// The event numbers in a JSON text: of each string value of `data`, the number it begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Numbers<'a>(&'a [u8]);

impl<'a> Numbers<'a> {
    /// The numbers in `json`.
    pub(super) fn new(json: &'a [u8]) -> Self {
        Self(json)
    }
}

impl Iterator for Numbers<'_> {
    type Item = Option<u64>;

    /// The next event; `Some(None)` for data that is not from this generator.
    fn next(&mut self) -> Option<Option<u64>> {
        const DATA: &[u8] = b"\"data\":\"";
        let at = memchr::memmem::find(self.0, DATA)? + DATA.len();
        self.0 = &self.0[at..];
        Some(number(self.0))
    }
}
