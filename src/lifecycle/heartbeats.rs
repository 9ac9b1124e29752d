//! When each event loop of the process has last run. A loop that waits for a lock for ever, or that computes without end,
//! no longer beats.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// The last beat of each loop. A beat is one relaxed store.
#[derive(Debug)]
pub struct Heartbeats {
    began: Instant,
    /// Milliseconds since `began`, plus one; 0 before the first beat.
    last: Box<[AtomicU64]>,
}

impl Heartbeats {
    /// For this number of loops, none of which has run yet.
    #[must_use]
    pub fn new(loops: usize) -> Self {
        Self { began: Instant::now(), last: (0..loops).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Records that the loop of this index runs.
    pub fn beat(&self, index: usize) {
        self.last[index].store(self.now().saturating_add(1), Relaxed);
    }

    /// The time since the last beat of the loop that has been silent for longest, and its index; `None` while one has never
    /// run.
    #[must_use]
    pub fn longest_silence(&self) -> Option<(usize, Duration)> {
        self.longest_silence_at(self.now())
    }

    /// Milliseconds since the beginning.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn longest_silence_at(&self, now: u64) -> Option<(usize, Duration)> {
        let last = self.last.iter().map(|last| last.load(Relaxed)).enumerate();
        let (index, oldest) = last.min_by_key(|(_, last)| *last)?;
        let beat = oldest.checked_sub(1)?;
        Some((index, Duration::from_millis(now.saturating_sub(beat))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_silence_is_of_the_loop_that_beats_no_more() {
        let beats = Heartbeats::new(2);
        assert_eq!(beats.longest_silence(), None);
        beats.beat(1);
        assert_eq!(beats.longest_silence(), None, "the other one has never run");
        for (index, beat) in [(0, 1001), (1, 4001)] {
            beats.last[index].store(beat, Relaxed);
        }
        assert_eq!(beats.longest_silence_at(5000), Some((0, Duration::from_secs(4))));
        beats.last[0].store(5001, Relaxed);
        assert_eq!(beats.longest_silence_at(5000), Some((1, Duration::from_secs(1))));
    }
}
