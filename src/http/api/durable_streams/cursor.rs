//! `Stream-Cursor`: a number that changes with time, which clients send back so that caches between them and the hub
//! answer many of them by one request, and none of them with an old response for ever.

use std::ops::RangeInclusive;

/// The time from which intervals are counted, in Unix seconds: 2024-10-09T00:00:00Z, as the protocol asks.
const ORIGIN: u64 = 1_728_432_000;

/// Length of an interval in seconds, as the protocol asks.
const INTERVAL: u64 = 20;

/// How far the cursor moves past a client's that is not behind, in intervals: up to an hour, as the protocol asks.
const JUMP: RangeInclusive<u64> = 1..=180;

/// The cursor at `now`, in Unix seconds, for a client that has sent `asked`: that of the present interval, or one above the
/// client's when that would not be. Text that is no number counts as none.
#[must_use]
pub fn at(now: u64, asked: Option<&str>) -> u64 {
    let present = now.saturating_sub(ORIGIN) / INTERVAL;
    match asked.and_then(|text| text.parse::<u64>().ok()) {
        Some(asked) if asked >= present => asked.saturating_add(fastrand::u64(JUMP)),
        _ => present,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_is_the_interval_and_always_above_the_clients() {
        let now = ORIGIN + 45;
        assert_eq!((at(now, None), at(now, Some("1")), at(now, Some("x"))), (2, 2, 2));
        for asked in [2, 3, 1000] {
            let cursor = at(now, Some(&asked.to_string()));
            assert!(JUMP.contains(&(cursor - asked)), "{asked}: {cursor}");
        }
        assert_eq!(at(0, None), 0);
    }
}
