//! Start positions, checked before anything is sent, so that a mistake is reported even if the hub is unreachable.

use crate::event::{EventId, Millis, duration};

/// Most events before the end at which a stream may start.
pub(super) const MAX_LAST: u64 = 1_000_000;

/// Checks a value of `from`. It is sent unchanged.
pub(super) fn position(text: &str) -> Result<String, String> {
    let last = |text: &str| text.parse().is_ok_and(|count: u64| (1..=MAX_LAST).contains(&count));
    let known = match text.strip_prefix("last:") {
        Some(count) => last(count),
        None => matches!(text, "earliest" | "now") || EventId::parse(text).is_some(),
    };
    if known {
        return Ok(text.into());
    }
    Err(format!(
        "it must be earliest, now, last:N with N from 1 to {MAX_LAST}, or an id like 4f9a2c1e-17; for a time use --since"
    ))
}

/// Checks a value of `since`. It is sent unchanged; the hub decides whether a number is an age or a time.
pub(super) fn since(text: &str) -> Result<String, String> {
    if duration::parse(text).is_some() || Millis::parse_rfc3339(text).is_some() {
        return Ok(text.into());
    }
    Err("it must be an age like 90s, 10m, 7d or 1h 30m, or a time like 2026-01-31T09:00:00Z".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_positions_and_times_are_unchanged_and_others_are_refused() {
        for text in ["earliest", "now", "abcd-0", "last:1", "last:1000000"] {
            assert_eq!(position(text).as_deref(), Ok(text));
        }
        for text in ["yesterday", "", "last:", "last:0", "last:1000001", "last:x", "10m", "2026-01-31T09:00:00Z"] {
            assert!(position(text).expect_err(text).contains("--since"), "{text}");
        }
        for text in [
            "10m",
            "90",
            "5ms",
            "7d",
            "1h 30m",
            "10 m",
            "1764100000123",
            "2026-01-31T09:00:00Z",
            "2026-01-31T09:00:00+01:00",
        ] {
            assert_eq!(since(text).as_deref(), Ok(text));
        }
        for text in ["yesterday", "", "m", "-5m", "10x", "2026-01-31"] {
            since(text).expect_err(text);
        }
    }
}
