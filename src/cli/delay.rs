//! How long to wait before the next connection.

use std::{fmt::Display, time::Duration};

/// What an EventSource waits before any stream has said `retry:`: "a few seconds" (WHATWG HTML, 9.2.3); the hub's own
/// default.
pub(super) const DEFAULT: Duration = Duration::from_secs(3);

/// Shortest wait, so that `retry: 0` does not make a client spin.
const MIN: Duration = Duration::from_millis(100);

/// Longest wait after failures, unless `retry` is longer: a hub that is back is found within about a minute.
const MAX: Duration = Duration::from_mins(1);

/// Longest `retry` or `Retry-After` that counts. A stream's may be set by any of its publishers, up to a day, and whoever
/// answers in a hub's place may say anything: a client that is away for longer than this looks broken.
const MAX_RETRY: Duration = Duration::from_mins(10);

/// The wait after `failures` connections in a row that could not be had, where a stream that ended in order counts as
/// none: then it is `retry` itself, which the hub has spread already. Else it doubles, and up to a quarter is added by
/// `chance` (0 to 1), because a hub that was away has many clients coming back. Not less than `asked`, a `Retry-After`; of
/// both no more than ten minutes count.
pub(super) fn before_next(retry: Duration, asked: Duration, failures: u32, chance: f64) -> Duration {
    let retry = retry.clamp(MIN, MAX_RETRY);
    let Some(doublings) = failures.checked_sub(1) else { return retry.max(asked.min(MAX_RETRY)) };
    let grown = retry.saturating_mul(1 << doublings.min(16)).min(MAX.max(retry));
    (grown + grown.mul_f64(chance.clamp(0.0, 1.0) / 4.0)).max(asked.min(MAX_RETRY))
}

/// What to say before the wait.
pub(super) fn told(reason: &impl Display, wait: Duration) -> String {
    format!("{reason}; trying again in {:.1} s", wait.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(failures: u32, chance: f64) -> u64 {
        before_next(DEFAULT, Duration::ZERO, failures, chance).as_secs()
    }

    #[test]
    fn failures_double_the_wait_up_to_a_bound() {
        let waits = [0, 1, 2, 3, 4, 5, 6, 99].map(|failures| seconds(failures, 0.0));
        assert_eq!(waits, [3, 3, 6, 12, 24, 48, 60, 60]);
        assert_eq!(seconds(99, 1.0), 75);
    }

    #[test]
    fn the_hubs_retry_is_never_undercut_and_never_spins() {
        let long = Duration::from_mins(10);
        assert_eq!(before_next(long, Duration::ZERO, 9, 0.0), long);
        assert_eq!(before_next(Duration::ZERO, Duration::ZERO, 0, 0.0), MIN);
    }

    #[test]
    fn a_wait_that_is_asked_for_is_kept_up_to_ten_minutes() {
        let wait = |retry, asked| before_next(Duration::from_secs(retry), Duration::from_secs(asked), 1, 0.0).as_secs();
        assert_eq!([wait(3, 1), wait(3, 100), wait(3, 99_999_999), wait(1_000_000, 0)], [3, 100, 600, 600]);
    }
}
