//! Something that may happen thousands of times a second, and is worth one line of the log a second.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Time between two lines at least.
const PERIOD: Duration = Duration::from_secs(1);

/// Counts what happens, and says when to tell of it. Shared by all cores.
#[derive(Debug)]
pub struct ThrottledLog {
    started: Instant,
    /// Milliseconds after `started` from which on the next line may be written.
    next: AtomicU64,
    untold: AtomicU64,
}

impl Default for ThrottledLog {
    fn default() -> Self {
        Self { started: Instant::now(), next: AtomicU64::new(0), untold: AtomicU64::new(0) }
    }
}

impl ThrottledLog {
    /// It has happened. Answers with how often since the last line, when it is time for one.
    pub fn happened(&self) -> Option<u64> {
        self.at(self.started.elapsed())
    }

    fn at(&self, elapsed: Duration) -> Option<u64> {
        let now = milliseconds(elapsed);
        self.untold.fetch_add(1, Relaxed);
        let due = self.next.load(Relaxed);
        // Of several cores one wins.
        let mine = now >= due && self.next.compare_exchange(due, now + milliseconds(PERIOD), Relaxed, Relaxed).is_ok();
        mine.then(|| self.untold.swap(0, Relaxed))
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_once_a_second_with_how_often() {
        let throttled_log = ThrottledLog::default();
        let at = |milliseconds| throttled_log.at(Duration::from_millis(milliseconds));
        assert_eq!(at(0), Some(1), "the first at once");
        assert_eq!([at(1), at(500), at(999)], [None; 3]);
        assert_eq!(at(1000), Some(4));
        assert_eq!((at(1001), at(5000)), (None, Some(2)));
    }
}
