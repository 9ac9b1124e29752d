//! The minimum rate of a body, or of a line of a streamed body: no pause longer than `http.body_timeout`, and
//! `http.body_rate` bytes a second on average.
//!
//! The client has a budget of time. Waiting uses it up, and each byte adds the time that it takes at the minimum rate.
//! The budget never exceeds the timeout, so that a fast start does not permit a long pause later.

use std::time::Duration;

/// A client's remaining budget of time.
#[derive(Debug, Clone, Copy)]
pub struct BodyPace {
    timeout: Duration,
    /// Bytes a second.
    rate: usize,
    left: Duration,
}

impl BodyPace {
    /// A full budget: `timeout`. `rate` is in bytes a second.
    #[must_use]
    pub fn new(timeout: Duration, rate: usize) -> Self {
        Self { timeout, rate, left: timeout }
    }

    /// How long the hub waits for the next bytes.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.left
    }

    /// Accounts for `bytes` that arrived after a wait of `waited`.
    pub fn arrived(&mut self, bytes: usize, waited: Duration) {
        let earned = Duration::from_millis((bytes as u64).saturating_mul(1000) / self.rate.max(1) as u64);
        self.left = (self.left.saturating_sub(waited) + earned).min(self.timeout);
    }

    /// Restores the full budget.
    pub fn reset(&mut self) {
        self.left = self.timeout;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds until a client that sends `bytes` every `seconds` runs out of budget; `None` when it never does.
    fn expires_after(bytes: usize, seconds: u64) -> Option<u64> {
        let mut pace = BodyPace::new(Duration::from_secs(30), 1000);
        (0..1000).find_map(|n| {
            let waits = Duration::from_secs(seconds);
            let late = waits > pace.left();
            pace.arrived(bytes, waits);
            late.then_some(n * seconds)
        })
    }

    #[test]
    fn a_byte_a_second_is_too_slow_and_a_silence_is_too() {
        assert_eq!(expires_after(1, 1), Some(30));
        assert_eq!(
            expires_after(999, 1),
            None,
            "it uses up its budget a millisecond a second: a 1 MiB body is there before"
        );
        assert_eq!(expires_after(1000, 1), None);
        assert_eq!(expires_after(1 << 20, 31), Some(0));
    }

    #[test]
    fn a_fast_start_does_not_permit_a_later_pause() {
        let mut pace = BodyPace::new(Duration::from_secs(30), 1000);
        pace.arrived(16 << 20, Duration::ZERO);
        assert_eq!(pace.left(), Duration::from_secs(30));
    }
}
