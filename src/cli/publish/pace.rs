//! The rate limit of batches. A hub remembers each batch's key for ten minutes, within a bound that all publishers
//! share: many batches of one line each would use it up.

use std::time::Duration;

use tokio::time::Instant;

/// Average interval between batches: 6000 keys in ten minutes, 2.4 % of what a hub remembers by default.
const INTERVAL: Duration = Duration::from_millis(100);

/// Batches that may be sent at once before the interval applies.
const BURST: u32 = 64;

/// The rate limiter.
#[derive(Debug)]
pub(super) struct Pace {
    /// When the next batch would be due if each had waited for the interval.
    due: Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { due: Instant::now() }
    }

    /// How long the next batch must wait. Meanwhile more lines collect.
    pub(super) fn wait(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now() + INTERVAL * (BURST - 1))
    }

    /// Records that a batch is sent.
    pub(super) fn record(&mut self) {
        self.due = self.due.max(Instant::now()) + INTERVAL;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_sent_at_once_and_then_ten_a_second() {
        let (started, mut pace) = (Instant::now(), Pace::new());
        for _ in 0..BURST + 50 {
            tokio::time::sleep(pace.wait()).await;
            pace.record();
        }
        assert_eq!(started.elapsed(), INTERVAL * 50);
        tokio::time::sleep(INTERVAL * BURST).await;
        assert_eq!(pace.wait(), Duration::ZERO, "a pause restores the burst");
    }
}
