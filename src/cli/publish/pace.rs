//! How often a batch may go. A hub remembers each batch's key for ten minutes, and its room for keys is shared by all who
//! publish: lines that trickle in, each in a batch of its own, would use it up.

use std::time::Duration;

use tokio::time::Instant;

/// Time between batches in the long run: 6000 keys in ten minutes, 2.4 % of what a hub remembers by default.
const INTERVAL: Duration = Duration::from_millis(100);

/// Batches that may go before any has to wait.
const BURST: u32 = 64;

/// A pace that is kept.
#[derive(Debug)]
pub(super) struct Pace {
    /// When the next batch would be due if all had kept the interval.
    due: Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { due: Instant::now() }
    }

    /// How long the next batch should wait for company.
    pub(super) fn wait(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now() + INTERVAL * (BURST - 1))
    }

    /// A batch goes.
    pub(super) fn go(&mut self) {
        self.due = self.due.max(Instant::now()) + INTERVAL;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn some_go_at_once_and_then_ten_a_second() {
        let (started, mut pace) = (Instant::now(), Pace::new());
        for _ in 0..BURST + 50 {
            tokio::time::sleep(pace.wait()).await;
            pace.go();
        }
        assert_eq!(started.elapsed(), INTERVAL * 50);
        tokio::time::sleep(INTERVAL * BURST).await;
        assert_eq!(pace.wait(), Duration::ZERO, "a pause is saved up");
    }
}
