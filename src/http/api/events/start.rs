//! Parses where a stream begins: at a cursor, the oldest kept event, now, the newest N events, or a time.

use http::HeaderMap;

use crate::{
    engine::When,
    event::Millis,
    http::{
        api::{cursor_text::EVENT_IDS, duration},
        message::problem::{Code, Problem},
    },
    hub::subscription::Start,
};

/// Largest N of `from=last:N`: locating the start reads that many positions of the log.
pub const MAX_NEWEST: u64 = 1_000_000;

/// Where a request asks a stream to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamStart {
    /// At a start that needs no look-up.
    At(Start),
    /// With what was published at this time or later.
    Since(When),
    /// With the newest N kept events.
    Newest(u64),
}

/// The request's parameters that say where to begin. An empty one counts as absent.
#[derive(Debug, Default)]
pub(super) struct RawStart<'a> {
    pub(super) cursor: Option<&'a str>,
    pub(super) from: Option<&'a str>,
    pub(super) since: Option<&'a str>,
}

impl StreamStart {
    /// Parses the parameters. The `Last-Event-ID` header takes precedence, because a reconnecting EventSource keeps its
    /// URL.
    pub(super) fn new(raw: &RawStart<'_>, headers: &HeaderMap) -> Result<Self, Problem> {
        let header = headers.get("last-event-id").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let cursor = header.filter(|text| !text.is_empty());
        if let Some(cursor) = cursor.or_else(|| raw.cursor.filter(|text| !text.is_empty()).map(Into::into)) {
            return Ok(Self::At(EVENT_IDS.start(cursor)));
        }
        match (raw.from.filter(|text| !text.is_empty()), raw.since.filter(|text| !text.is_empty())) {
            (Some(_), Some(_)) => Err(Problem::new(Code::QueryInvalid, "give 'from' or 'since', not both")),
            (None | Some("now"), None) => Ok(Self::At(Start::Now)),
            (Some("earliest"), None) => Ok(Self::At(Start::Earliest)),
            (Some(text), None) => from(text),
            (None, Some(text)) => since(text).map(Self::Since),
        }
    }
}

fn from(text: &str) -> Result<StreamStart, Problem> {
    if let Some(number) = text.strip_prefix("last:") {
        let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        let count = digits.then(|| number.parse().ok()).flatten().filter(|count| (1..=MAX_NEWEST).contains(count));
        return count.map(StreamStart::Newest).ok_or_else(|| {
            let detail = format!("'from=last:N' takes a whole number from 1 to {MAX_NEWEST}, like last:100");
            Problem::new(Code::QueryInvalid, detail)
        });
    }
    if (EVENT_IDS.parse)(text).is_some() {
        return Ok(StreamStart::At(EVENT_IDS.start(text.into())));
    }
    let detail = "'from' must be earliest, now, last:N (the newest N events) or an id like 4f9a2c1e-17";
    Err(Problem::new(Code::QueryInvalid, detail))
}

fn since(text: &str) -> Result<When, Problem> {
    let number = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let time = if number && !is_age(text) { unix_time(text) } else { Millis::parse_rfc3339(text) };
    let age = || is_age(text).then(|| duration::parse(text)).flatten();
    time.map(When::Moment).or_else(|| age().map(When::Ago)).ok_or_else(|| {
        let detail = "'since' must be a time like 2026-01-31T09:00:00Z or 1769850000 (Unix, in seconds or milliseconds), \
                      or an age like 90s, 10m or 2h";
        Problem::new(Code::QueryInvalid, detail)
    })
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
    use std::time::Duration;

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
        ] {
            assert_eq!(since(text), Ok(want), "{text}");
        }
        for text in [
            "17641000000",
            "176410000000",
            "17641000001234",
            "1764100000123456789",
            "1764100000.",
            "1764100000123.5",
            "90.5",
            "0000000090",
            ".5",
            "-1",
            "yesterday",
            "all",
            "99999999999999999999",
        ] {
            assert_eq!(since(text).unwrap_err().code, Code::QueryInvalid, "{text}");
        }
    }

    #[test]
    fn the_number_of_newest_events_is_bounded() {
        assert_eq!(from("last:1"), Ok(StreamStart::Newest(1)));
        assert_eq!(from(&format!("last:{MAX_NEWEST}")), Ok(StreamStart::Newest(MAX_NEWEST)));
        for text in
            ["last:0", "last:", "last:-1", "last:+1", "last:1000001", "last:x", "last", "last:99999999999999999999"]
        {
            assert!(from(text).is_err(), "{text}");
        }
    }
}
