//! The time from an opening to the end of the retention thread's first round.
//!
//! No mark of what was trimmed is on disk: a store that has not taken back its space shows it again, until the limits have
//! been looked at. So until that first round is over, a reader brings the topics it reads within their limits itself, as it
//! does at any time for what is past its age. When the whole store is over its cap, the reader waits for the round:
//! only a look at every topic says which events that trims.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Condvar, Mutex};

/// Whether the first round is over.
#[derive(Debug)]
pub(super) struct StartupTrim {
    settled: AtomicBool,
    /// The store was over its cap when it was opened, and the round is not over.
    over_cap: Mutex<bool>,
    ended: Condvar,
}

impl StartupTrim {
    pub(super) fn new(over_cap: bool) -> Self {
        Self { settled: AtomicBool::new(false), over_cap: Mutex::new(over_cap), ended: Condvar::new() }
    }

    /// Whether topics are within their limits, but for what was published a moment ago and what grows old.
    pub(super) fn is_over(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    /// Waits for the round if the store is over its cap. Bounded by the round, which is tried once: a disk that cannot
    /// be read tells the reader itself.
    pub(super) fn wait(&self) {
        if !self.is_over() {
            self.ended.wait_while(&mut self.over_cap.lock(), |over_cap| *over_cap);
        }
    }

    /// The round is over, or there will be none.
    pub(super) fn end(&self) {
        self.settled.store(true, Ordering::Release);
        *self.over_cap.lock() = false;
        self.ended.notify_all();
    }
}
