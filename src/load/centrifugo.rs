//! Centrifugo's messages: JSON on one line each, and no ids around them.

use super::{dialect::StreamLine, number};

/// The events in a piece of JSON: each value of `data` that is a string and begins with a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Numbers<'a>(&'a [u8]);

impl Iterator for Numbers<'_> {
    type Item = Option<u64>;

    /// The next event; `None` within for data that is none of ours.
    fn next(&mut self) -> Option<Option<u64>> {
        const DATA: &[u8] = b"\"data\":\"";
        let at = memchr::memmem::find(self.0, DATA)? + DATA.len();
        self.0 = &self.0[at..];
        Some(number(self.0))
    }
}

/// What a message of Centrifugo's says.
pub(super) fn said(message: &[u8]) -> StreamLine<'_> {
    let has = |text: &[u8]| memchr::memmem::find(message, text).is_some();
    if message.starts_with(b"{\"channel\":") && has(b"\"pub\":") {
        Numbers(message).next().flatten().map_or(StreamLine::Stray, StreamLine::Event)
    } else if message.starts_with(b"{\"connect\":") {
        // What could not be recovered is told by what is not said.
        if has(b"\"was_recovering\":true") && !has(b"\"recovered\":true") {
            return StreamLine::Told;
        }
        StreamLine::Events(Numbers(message))
    } else if message == b"{}" {
        StreamLine::Nothing
    } else {
        StreamLine::Told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn centrifugos_messages_are_events_and_what_was_missed_and_what_was_not_recovered() {
        assert_eq!(
            said(br#"{"channel":"t","pub":{"data":"000000000000000agapless","offset":3}}"#),
            StreamLine::Event(10)
        );
        assert_eq!(said(br#"{"channel":"t","pub":{"data":{"x":1},"offset":3}}"#), StreamLine::Stray);
        let missed = br#"{"connect":{"subs":{"t":{"publications":[{"data":"0000000000000001","offset":1},{"data":"0000000000000002gapless","offset":2},{"data":"other","offset":3}],"recovered":true,"was_recovering":true}}}}"#;
        let StreamLine::Events(numbers) = said(missed) else { panic!("events") };
        assert_eq!(numbers.collect::<Vec<_>>(), [Some(1), Some(2), None]);
        let StreamLine::Events(none) = said(br#"{"connect":{"subs":{"t":{"positioned":true}}}}"#) else {
            panic!("none")
        };
        assert_eq!(none.count(), 0);
        assert_eq!(said(br#"{"connect":{"subs":{"t":{"was_recovering":true}}}}"#), StreamLine::Told);
        assert_eq!(said(br#"{"disconnect":{"code":3010,"reason":"insufficient state"}}"#), StreamLine::Told);
        assert_eq!(said(b"{}"), StreamLine::Nothing, "a ping");
    }
}
