//! Time, and whether a load gets on.

use std::time::{Duration, Instant};

use super::tally::LoadTally;

/// How long a load waits without any progress before it gives up.
pub(super) const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A clock in nanoseconds since `start`.
pub(super) fn clock(start: Instant) -> impl Fn() -> u64 {
    move || u64::try_from(start.elapsed().as_nanos()).expect("less than 584 years")
}

/// Detects a load without progress.
pub(super) struct ProgressWatch {
    seen: (u64, u64),
    /// When the last progress was seen.
    pub(super) last: Instant,
}

impl ProgressWatch {
    pub(super) fn new(tally: &LoadTally) -> Self {
        Self { seen: (tally.delivered, tally.published), last: Instant::now() }
    }

    /// Whether there was progress within [`STALL_TIMEOUT`].
    pub(super) fn has_progress(&mut self, tally: &LoadTally) -> bool {
        let seen = (tally.delivered, tally.published);
        if seen != self.seen {
            (self.seen, self.last) = (seen, Instant::now());
        }
        self.last.elapsed() < STALL_TIMEOUT
    }
}
