//! Where a reader begins, as text: `Last-Event-ID`, `last_event_id`, `from` and `since`. The hub and its clients read it
//! here.

use std::{fmt, time::Duration};

use super::{duration, id::EventId, time::Millis};

/// Largest N of `last:N`: locating the start reads that many positions of the log.
pub const MAX_NEWEST: u64 = 1_000_000;

/// A client's cursor: the id after which it continues. Any text is one, also text that is no id, because clients send
/// the ids of other hubs; such a stream begins with a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    text: Box<str>,
    id: Option<EventId>,
}

/// A value of `from`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartPosition {
    /// `now`: the next event to be published.
    Now,
    /// `earliest`: the oldest retained event.
    Earliest,
    /// `last:N`: the newest N events; N is 1 to [`MAX_NEWEST`].
    Newest(u64),
    /// An id: the event after it.
    After(Cursor),
}

/// A text that is no [`StartPosition`]. `Display` says what is, in words that follow the parameter's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidPosition {
    /// `last:` with anything but a number in the range.
    Count,
    /// Anything else.
    Text,
}

/// A value of `since`. Timestamps follow the machine's clock, which may have been wrong, so the timestamp to read from
/// may differ from the time asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Events published at this time or later, by the machine's clock.
    Moment(Millis),
    /// Events published at most this long ago, by elapsed time.
    Ago(Duration),
}

impl Cursor {
    /// Characters of a cursor that are kept, for the message about a gap. A longer one is no id and need not be repeated
    /// whole.
    const ECHO: usize = 64;

    /// Reads a cursor.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self::with_id(text, EventId::parse(text))
    }

    /// A cursor in the text of another protocol, and the id that the text stands for.
    #[must_use]
    pub fn with_id(text: &str, id: Option<EventId>) -> Self {
        Self { text: text.chars().take(Self::ECHO).collect(), id }
    }

    /// The id; `None` when the text is no id.
    #[must_use]
    pub fn id(&self) -> Option<EventId> {
        self.id
    }

    /// The text as it was sent, at most 64 characters of it.
    #[must_use]
    pub fn into_text(self) -> Box<str> {
        self.text
    }
}

impl StartPosition {
    /// Parses a value of `from`.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidPosition> {
        match text {
            "now" => return Ok(Self::Now),
            "earliest" => return Ok(Self::Earliest),
            _ => {}
        }
        if let Some(number) = text.strip_prefix("last:") {
            let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
            let count = digits.then(|| number.parse().ok()).flatten();
            let count = count.filter(|count| (1..=MAX_NEWEST).contains(count));
            return count.map(Self::Newest).ok_or(InvalidPosition::Count);
        }
        let cursor = Cursor::new(text);
        if cursor.id.is_some() { Ok(Self::After(cursor)) } else { Err(InvalidPosition::Text) }
    }
}

impl fmt::Display for InvalidPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count => write!(f, "must have a whole number from 1 to {MAX_NEWEST} in last:N, like last:100"),
            Self::Text => f.write_str("must be earliest, now, last:N (the newest N events) or an id like 4f9a2c1e-17"),
        }
    }
}

impl When {
    /// What [`parse`](Self::parse) takes, in words that follow the parameter's name.
    pub const EXPECTED: &'static str = "must be a time like 2026-01-31T09:00:00Z or 1769850000 (Unix, in seconds or \
                                        milliseconds), or an age like 90s, 10m, 2h or 1h 30m";

    /// Parses a value of `since`: RFC 3339, a Unix time, or an age of at most [`duration::MAX_AGE`]; `None` for anything
    /// else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let time = if number && !is_age(text) { unix_time(text) } else { Millis::parse_rfc3339(text) };
        let age = || duration::parse(text).filter(|age| is_age(text) && *age <= duration::MAX_AGE);
        time.map(Self::Moment).or_else(|| age().map(Self::Ago))
    }
}

/// Whether a text is read as an age: one with a unit, or a number of at most nine digits, which as a Unix time would
/// lie before September 2001. A longer number would be an age of more than 31 years, so it is read as a time.
fn is_age(text: &str) -> bool {
    text.bytes().any(|b| !b.is_ascii_digit() && b != b'.') || (text.len() < 10 && !text.contains('.'))
}

/// A Unix time in seconds (10 digits, with or without a fraction) or in milliseconds (13 digits): years 2001 to 2286.
/// Microseconds and nanoseconds are refused.
fn unix_time(text: &str) -> Option<Millis> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.starts_with('0') || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let milliseconds: u64 = format!("{fraction:0<3}")[..3].parse().ok()?;
    match (whole.len(), text.contains('.')) {
        (10, false) => Some(Millis(whole.parse::<u64>().ok()? * 1000)),
        (10, true) if !fraction.is_empty() => Some(Millis(whole.parse::<u64>().ok()? * 1000 + milliseconds)),
        (13, false) => Some(Millis(whole.parse().ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_or_an_age_and_no_number_can_be_both() {
        let moment = |ms| When::Moment(Millis(ms));
        let ago = |seconds| When::Ago(Duration::from_secs(seconds));
        for (text, want) in [
            ("1970-01-01T00:00:01Z", moment(1000)),
            ("1764100000", moment(1_764_100_000_000)),
            ("1764100000.5", moment(1_764_100_000_500)),
            ("1764100000.123456789", moment(1_764_100_000_123)),
            ("1764100000123", moment(1_764_100_000_123)),
            ("1000000000", moment(1_000_000_000_000)),
            ("90", ago(90)),
            ("999999999", ago(999_999_999)),
            ("1764100000s", ago(1_764_100_000)),
            ("10m", ago(600)),
            ("1h 30m", ago(5400)),
            ("1.5h", ago(5400)),
        ] {
            assert_eq!(When::parse(text), Some(want), "{text}");
        }
        for text in [
            "17641000000",
            "176410000000",
            "17641000001234",
            "1764100000123456789",
            "1764100000.",
            "1764100000123.5",
            "90.5",
            "101y",
            "0000000090",
            ".5",
            "-1",
            "yesterday",
            "all",
            "99999999999999999999",
        ] {
            assert_eq!(When::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_number_of_newest_events_is_bounded() {
        assert_eq!(StartPosition::parse("last:1"), Ok(StartPosition::Newest(1)));
        assert_eq!(StartPosition::parse(&format!("last:{MAX_NEWEST}")), Ok(StartPosition::Newest(MAX_NEWEST)));
        for text in ["last:0", "last:", "last:-1", "last:+1", "last:1000001", "last:x", "last:99999999999999999999"] {
            assert_eq!(StartPosition::parse(text), Err(InvalidPosition::Count), "{text}");
        }
        assert_eq!(StartPosition::parse("last"), Err(InvalidPosition::Text));
    }

    #[test]
    fn a_position_is_a_word_or_an_id() {
        for (text, want) in [
            ("now", StartPosition::Now),
            ("earliest", StartPosition::Earliest),
            ("abcd-007", StartPosition::After(Cursor::new("abcd-007"))),
        ] {
            assert_eq!(StartPosition::parse(text), Ok(want), "{text}");
        }
        for text in ["", "yesterday", "Now", "abcd-", "17", "10m"] {
            assert_eq!(StartPosition::parse(text), Err(InvalidPosition::Text), "{text}");
        }
    }

    #[test]
    fn any_text_is_a_cursor_and_is_kept_as_it_was_sent_up_to_a_bound() {
        let cursor = Cursor::new("abcd-007");
        assert_eq!((cursor.id(), &*cursor.into_text()), (EventId::parse("abcd-7"), "abcd-007"));
        let long = "\u{e4}".repeat(65);
        let cursor = Cursor::new(&long);
        assert_eq!((cursor.id(), cursor.into_text().chars().count()), (None, 64));
    }
}
