//! Time stamps: milliseconds since 1970-01-01T00:00:00Z, and their RFC 3339 text.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A time in UTC, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// Parses RFC 3339 with any offset; `None` when it is anything else or before 1970.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let timestamp: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(timestamp.as_millisecond()).ok().map(Self)
    }

    /// This time plus `time`; saturates.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }

    /// This time minus `age`; 0 at least.
    #[must_use]
    pub fn before(self, age: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// Whether this is a time as RFC 3339 writes it, from the year 1 on: date, `T`, time with seconds and any fraction, `Z` or an
/// offset. A second 60 is one before midnight UTC.
#[must_use]
pub fn is_rfc3339(text: &str) -> bool {
    read_rfc3339(text.as_bytes()).is_some()
}

/// Reads such a time to its end.
fn read_rfc3339(text: &[u8]) -> Option<()> {
    let (clock, rest) = text.split_at_checked("0000-00-00T00:00:00".len())?;
    let number = |from: usize, length: usize| {
        let digits = &clock[from..from + length];
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| digits.iter().fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0')))
    };
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    let separators = [4, 7, 10, 13, 16].map(|at| clock[at].to_ascii_uppercase());
    let days = match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    let rest = match rest.strip_prefix(b".") {
        Some(fraction) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return None;
            }
            &fraction[digits..]
        }
        None => rest,
    };
    let offset = match rest {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), h1, h0, b':', m1, m0] if [h1, h0, m1, m0].iter().all(|digit| digit.is_ascii_digit()) => {
            let two = |tens: u8, ones: u8| i32::from(tens - b'0') * 10 + i32::from(ones - b'0');
            let (hours, minutes) = (two(*h1, *h0), two(*m1, *m0));
            if hours > 23 || minutes > 59 {
                return None;
            }
            if *sign == b'+' { hours * 60 + minutes } else { -(hours * 60 + minutes) }
        }
        _ => return None,
    };
    let is_last_minute = (hour * 60 + minute - offset).rem_euclid(24 * 60) == 24 * 60 - 1;
    let is_valid = separators == *b"--T::"
        && year > 0
        && (1..=days).contains(&day)
        && hour <= 23
        && minute <= 59
        && (second <= 59 || (second == 60 && is_last_minute));
    is_valid.then_some(())
}

/// A clock before 1970 reads as 1970.
impl From<SystemTime> for Millis {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// RFC 3339, UTC, milliseconds: `2026-11-21T04:06:00.123Z`.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timestamp = i64::try_from(self.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        write!(f, "{:.3}", timestamp.unwrap_or(jiff::Timestamp::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_exactly_milliseconds() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_795_233_960_000, "2026-11-21T04:06:00.000Z"),
            (1_795_233_960_007, "2026-11-21T04:06:00.007Z"),
        ] {
            assert_eq!(Millis(ms).to_string(), text);
            assert_eq!(Millis::parse_rfc3339(text), Some(Millis(ms)));
        }
    }

    #[test]
    fn offsets_are_understood_and_junk_is_not() {
        assert_eq!(Millis::parse_rfc3339("1970-01-01T01:00:00+01:00"), Some(Millis(0)));
        for text in ["", "now", "2026-11-21", "1969-12-31T23:59:59Z"] {
            assert_eq!(Millis::parse_rfc3339(text), None, "{text}");
        }
    }
    #[test]
    fn only_the_forms_of_rfc_3339_are_times() {
        for text in [
            "2026-11-21T04:06:00Z",
            "1926-11-21T04:06:00.123456789+05:30",
            "2026-11-21t04:06:00.1z",
            "2026-11-21T04:06:00-00:00",
            "2016-12-31T23:59:60Z",
            "2017-01-01T05:29:60.5+05:30",
            "9999-12-31T23:59:59.9999999999Z",
            "0001-01-01T00:00:00+23:59",
            "2024-02-29T00:00:00Z",
        ] {
            assert!(is_rfc3339(text), "{text}");
        }
        for text in [
            "",
            "2026-11-21",
            "2026-11-21 04:06:00Z",
            "2026-11-21T04:06Z",
            "2026-11-21T04:06:00",
            "2026-11-21T04:06:00.Z",
            "2026-13-21T04:06:00Z",
            "2026-11-21T04:06:00Z[UTC]",
            "20261121T040600Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00+05:60",
            "2026-01-01T00:00:00+0530",
            "0000-01-01T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:0a:00Z",
        ] {
            assert!(!is_rfc3339(text), "{text}");
        }
    }
}
