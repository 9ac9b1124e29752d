//! A log message for what may happen thousands of times a second: at most one line a second.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Minimum time between two lines.
const PERIOD: Duration = Duration::from_secs(1);

/// Counts occurrences, and says when the next line is due. Shared by all cores.
#[derive(Debug)]
pub struct ThrottledLog {
    started: Instant,
    /// When the next line is due, in milliseconds after `started`.
    next: AtomicU64,
    unreported: AtomicU64,
}

impl Default for ThrottledLog {
    fn default() -> Self {
        Self { started: Instant::now(), next: AtomicU64::new(0), unreported: AtomicU64::new(0) }
    }
}

impl ThrottledLog {
    /// Counts one occurrence. Returns the occurrences since the last line, this one included, when a line is due.
    pub fn record(&self) -> Option<u64> {
        self.at(self.started.elapsed())
    }

    fn at(&self, elapsed: Duration) -> Option<u64> {
        let now = milliseconds(elapsed);
        self.unreported.fetch_add(1, Relaxed);
        let due = self.next.load(Relaxed);
        // One core wins the exchange, and writes the line.
        let wins = now >= due && self.next.compare_exchange(due, now + milliseconds(PERIOD), Relaxed, Relaxed).is_ok();
        wins.then(|| self.unreported.swap(0, Relaxed))
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_due_once_a_second_with_the_number_of_occurrences() {
        let log = ThrottledLog::default();
        let at = |milliseconds| log.at(Duration::from_millis(milliseconds));
        assert_eq!(at(0), Some(1), "the first at once");
        assert_eq!([at(1), at(500), at(999)], [None; 3]);
        assert_eq!(at(1000), Some(4));
        assert_eq!((at(1001), at(5000)), (None, Some(2)));
    }
}
