//! Where to start: what is no place is told before anything is sent, for a hub that is away could not tell.

use crate::event::{EventId, Millis};

/// Most events that a stream may start before its end.
pub(super) const MAX_LAST: u64 = 1_000_000;

/// A value of `from`, as it is sent.
pub(super) fn place(text: &str) -> Result<String, String> {
    let last = |text: &str| text.parse().is_ok_and(|count: u64| (1..=MAX_LAST).contains(&count));
    let known = match text.strip_prefix("last:") {
        Some(count) => last(count),
        None => matches!(text, "earliest" | "now") || EventId::parse(text).is_some(),
    };
    if known {
        return Ok(text.into());
    }
    Err(format!(
        "it is earliest, now, last:N with N from 1 to {MAX_LAST}, or an id like 4f9a2c1e-17; a time goes with --since"
    ))
}

/// A value of `since`, as it is sent. Which of all numbers are times is the hub's to say.
pub(super) fn since(text: &str) -> Result<String, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let age = digits > 0 && matches!(&text[digits..], "" | "d" | "h" | "m" | "s" | "ms");
    if age || Millis::parse_rfc3339(text).is_some() {
        return Ok(text.into());
    }
    Err("it is an age like 90s, 10m, 2h or 7d, or a time like 2026-01-31T09:00:00Z".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_place_or_time_is_told_and_what_is_one_is_sent_as_it_is() {
        for text in ["earliest", "now", "abcd-0", "last:1", "last:1000000"] {
            assert_eq!(place(text).as_deref(), Ok(text));
        }
        for text in ["yesterday", "", "last:", "last:0", "last:1000001", "last:x", "10m", "2026-01-31T09:00:00Z"] {
            assert!(place(text).expect_err(text).contains("--since"), "{text}");
        }
        for text in ["10m", "90", "5ms", "7d", "2026-01-31T09:00:00Z", "2026-01-31T09:00:00+01:00"] {
            assert_eq!(since(text).as_deref(), Ok(text));
        }
        for text in ["yesterday", "", "10 m", "m", "-5m", "10x", "2026-01-31"] {
            since(text).expect_err(text);
        }
    }
}
