//! Start positions, checked before anything is sent, so that a mistake is reported even if the hub is unreachable.

use crate::event::position::{StartPosition, When};

/// Checks a value of `from`. It is sent unchanged.
pub(super) fn position(text: &str) -> Result<String, String> {
    match StartPosition::parse(text) {
        Ok(_) => Ok(text.into()),
        Err(error) => Err(format!("it {error}; for a time use --since")),
    }
}

/// Checks a value of `since`. It is sent unchanged.
pub(super) fn since(text: &str) -> Result<String, String> {
    if When::parse(text).is_some() { Ok(text.into()) } else { Err(format!("it {}", When::EXPECTED)) }
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
