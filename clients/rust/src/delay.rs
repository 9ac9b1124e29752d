//! The delay before a client reconnects.

use std::time::Duration;

/// The reconnection time before a stream has sent `retry:`. WHATWG HTML, 9.2.3, says "a few seconds".
pub const DEFAULT_RETRY: Duration = Duration::from_secs(3);

/// Shortest delay, so that a client does not spin after `retry: 0`.
const MIN: Duration = Duration::from_millis(100);

/// Longest delay after failures, unless `retry` is longer: a client finds a restarted hub within about a minute.
const MAX: Duration = Duration::from_mins(1);

/// Longest `retry` or `Retry-After`; longer ones are cut to it. Any publisher may set a stream's `retry` to a day, and
/// a proxy may send any `Retry-After`, but a client that is disconnected for longer than this seems broken.
const MAX_RETRY: Duration = Duration::from_mins(10);

/// The delay after `failures` failed connections in a row. After a stream that ended normally (no failure) it is
/// `retry`, which the hub has randomized already. With each failure it doubles, and up to a quarter is added as jitter
/// by `chance` (0 to 1), because many clients reconnect to a restarted hub. It is at least `retry_after`, the hub's
/// `Retry-After`. Of both values at most ten minutes count.
#[must_use]
pub fn next(retry: Duration, retry_after: Duration, failures: u32, chance: f64) -> Duration {
    let retry = retry.clamp(MIN, MAX_RETRY);
    let Some(doublings) = failures.checked_sub(1) else { return retry.max(retry_after.min(MAX_RETRY)) };
    let grown = retry.saturating_mul(1 << doublings.min(16)).min(MAX.max(retry));
    (grown + grown.mul_f64(chance.clamp(0.0, 1.0) / 4.0)).max(retry_after.min(MAX_RETRY))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(failures: u32, chance: f64) -> u64 {
        next(DEFAULT_RETRY, Duration::ZERO, failures, chance).as_secs()
    }

    #[test]
    fn failures_double_the_wait_up_to_a_bound() {
        let waits = [0, 1, 2, 3, 4, 5, 6, 99].map(|failures| seconds(failures, 0.0));
        assert_eq!(waits, [3, 3, 6, 12, 24, 48, 60, 60]);
        assert_eq!(seconds(99, 1.0), 75);
    }

    #[test]
    fn the_delay_is_at_least_retry_and_never_zero() {
        let long = Duration::from_mins(10);
        assert_eq!(next(long, Duration::ZERO, 9, 0.0), long);
        assert_eq!(next(Duration::ZERO, Duration::ZERO, 0, 0.0), MIN);
    }

    #[test]
    fn retry_after_is_kept_up_to_ten_minutes() {
        let wait =
            |retry, retry_after| next(Duration::from_secs(retry), Duration::from_secs(retry_after), 1, 0.0).as_secs();
        assert_eq!([wait(3, 1), wait(3, 100), wait(3, 99_999_999), wait(1_000_000, 0)], [3, 100, 600, 600]);
    }
}
