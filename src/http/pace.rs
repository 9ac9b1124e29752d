//! How slowly a body, or a line of one, may arrive: no silence longer than `http.body_timeout`, and on average
//! `http.body_rate`.
//!
//! The client has a budget of time. Waiting uses it up, and each byte adds what it may take at the least rate. The budget never
//! exceeds the timeout, so that bytes sent at first do not pay for a long silence later.

use std::time::Duration;

/// The time that a client has left for the next bytes.
#[derive(Debug, Clone, Copy)]
pub struct BodyPace {
    timeout: Duration,
    /// Bytes a second.
    rate: usize,
    left: Duration,
}

impl BodyPace {
    /// A pace with the whole budget left.
    #[must_use]
    pub fn new(timeout: Duration, rate: usize) -> Self {
        Self { timeout, rate, left: timeout }
    }

    /// How long the next bytes may take.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.left
    }

    /// `bytes` came after `waited`.
    pub fn arrived(&mut self, bytes: usize, waited: Duration) {
        let earned = Duration::from_millis((bytes as u64).saturating_mul(1000) / self.rate.max(1) as u64);
        self.left = (self.left.saturating_sub(waited) + earned).min(self.timeout);
    }

    /// Begins anew.
    pub fn reset(&mut self) {
        self.left = self.timeout;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds until a client is given up that sends `bytes` every `seconds`; `None` when it never is.
    fn given_up(bytes: usize, seconds: u64) -> Option<u64> {
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
        assert_eq!(given_up(1, 1), Some(30));
        assert_eq!(
            given_up(999, 1),
            None,
            "it uses up its budget a millisecond a second: a 1 MiB body is there before"
        );
        assert_eq!(given_up(1000, 1), None);
        assert_eq!(given_up(1 << 20, 31), Some(0));
    }

    #[test]
    fn what_was_sent_at_once_pays_for_no_later_silence() {
        let mut pace = BodyPace::new(Duration::from_secs(30), 1000);
        pace.arrived(16 << 20, Duration::ZERO);
        assert_eq!(pace.left(), Duration::from_secs(30));
    }
}
