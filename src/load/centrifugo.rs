//! Centrifugo's messages: JSON, one on each line, without SSE ids.

use super::stream_line::{Numbers, StreamLine};

/// Parses a message of Centrifugo.
pub(super) fn parse_message(message: &[u8]) -> StreamLine<'_> {
    let has = |text: &[u8]| memchr::memmem::find(message, text).is_some();
    if message.starts_with(b"{\"channel\":") && has(b"\"pub\":") {
        Numbers::new(message).next().flatten().map_or(StreamLine::Foreign, StreamLine::Event)
    } else if message.starts_with(b"{\"connect\":") {
        // A failed recovery is only visible by the missing `recovered`.
        if has(b"\"was_recovering\":true") && !has(b"\"recovered\":true") {
            return StreamLine::Notice;
        }
        StreamLine::Events(Numbers::new(message))
    } else if message == b"{}" {
        StreamLine::Ignored
    } else {
        StreamLine::Notice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_events_recovered_events_and_failed_recoveries() {
        assert_eq!(
            parse_message(br#"{"channel":"t","pub":{"data":"000000000000000agapless","offset":3}}"#),
            StreamLine::Event(10)
        );
        assert_eq!(parse_message(br#"{"channel":"t","pub":{"data":{"x":1},"offset":3}}"#), StreamLine::Foreign);
        let missed = br#"{"connect":{"subs":{"t":{"publications":[{"data":"0000000000000001","offset":1},{"data":"0000000000000002gapless","offset":2},{"data":"other","offset":3}],"recovered":true,"was_recovering":true}}}}"#;
        let StreamLine::Events(numbers) = parse_message(missed) else { panic!("events") };
        assert_eq!(numbers.collect::<Vec<_>>(), [Some(1), Some(2), None]);
        let StreamLine::Events(none) = parse_message(br#"{"connect":{"subs":{"t":{"positioned":true}}}}"#) else {
            panic!("none")
        };
        assert_eq!(none.count(), 0);
        assert_eq!(parse_message(br#"{"connect":{"subs":{"t":{"was_recovering":true}}}}"#), StreamLine::Notice);
        assert_eq!(parse_message(br#"{"disconnect":{"code":3010,"reason":"insufficient state"}}"#), StreamLine::Notice);
        assert_eq!(parse_message(b"{}"), StreamLine::Ignored, "a ping");
    }
}
