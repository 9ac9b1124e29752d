//! Reads between opening and the end of the retention thread's first round.
//!
//! Trimmed-through marks are not stored: a trimmed event whose space was not reclaimed before a restart reappears until
//! limits are applied again. So until the first round has ended, a reader trims the topics it reads to their limits
//! itself, as it always does for events past their maximum age. When the whole store is over its cap, the reader waits
//! for the round: only a pass over all topics determines which events that trims.

use crate::sync::{
    Condvar, Mutex,
    atomic::{AtomicBool, Ordering},
};

/// Whether the first round has ended.
#[derive(Debug)]
pub(super) struct StartupTrim {
    over: AtomicBool,
    /// The store was over its cap when it was opened, and the round has not ended.
    over_cap: Mutex<bool>,
    ended: Condvar,
}

impl StartupTrim {
    pub(super) fn new(over_cap: bool) -> Self {
        Self { over: AtomicBool::new(false), over_cap: Mutex::new(over_cap), ended: Condvar::new() }
    }

    /// Whether the first round has ended: topics are within their limits, except for events just published and events
    /// that just passed their maximum age.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Waits for the round if the store was over its cap. Bounded by the round, which is tried only once: if the disk
    /// cannot be read, the read that follows returns the error.
    pub(super) fn wait(&self) {
        if !self.is_over() {
            self.ended.wait_while(&mut self.over_cap.lock(), |over_cap| *over_cap);
        }
    }

    /// Marks the round as ended, successfully or not.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Release);
        *self.over_cap.lock() = false;
        self.ended.notify_all();
    }
}
