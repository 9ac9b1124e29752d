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

/// Whether this is a time as RFC 3339 writes it: date, `T`, time with seconds and any fraction, `Z` or an offset.
#[must_use]
pub fn is_rfc3339(text: &str) -> bool {
    let shape = |c: char| if c.is_ascii_digit() { '0' } else { c.to_ascii_uppercase() };
    let shaped: String = text.chars().map(shape).collect();
    let Some(rest) = shaped.strip_prefix("0000-00-00T00:00:00") else { return false };
    let offset = match rest.strip_prefix('.') {
        Some(fraction) if fraction.starts_with('0') => fraction.trim_start_matches('0'),
        Some(_) => return false,
        None => rest,
    };
    matches!(offset, "Z" | "+00:00" | "-00:00") && text.parse::<jiff::Timestamp>().is_ok()
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
        ] {
            assert!(!is_rfc3339(text), "{text}");
        }
    }
}
