//! Floor 0: how far a long operation is. The thread that works writes it, and the one that shows it reads it.

use std::borrow::Cow;

use parking_lot::Mutex;

/// How far an operation is, shared by the thread that works and the one that shows it. No call blocks for longer than
/// another call takes.
#[derive(Debug, Default)]
pub struct WorkProgress(Mutex<ProgressState>);

/// A moment of a [`WorkProgress`].
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ProgressState {
    /// What is being done, as in `reading segment 3`.
    pub step: Cow<'static, str>,
    /// How much of `total` is done, in the operation's own unit.
    pub done: u64,
    /// All that there is to do; 0 when that is not known.
    pub total: u64,
}

impl WorkProgress {
    /// Begins an operation of `total`; 0 when that is not known.
    pub fn begin(&self, step: impl Into<Cow<'static, str>>, total: u64) {
        *self.0.lock() = ProgressState { step: step.into(), done: 0, total };
    }

    /// Names what is done from now on; what is done already stays counted.
    pub fn step(&self, step: impl Into<Cow<'static, str>>) {
        self.0.lock().step = step.into();
    }

    /// Counts `more` as done.
    pub fn add(&self, more: u64) {
        let mut state = self.0.lock();
        state.done = state.done.saturating_add(more);
    }

    /// The present state.
    #[must_use]
    pub fn state(&self) -> ProgressState {
        self.0.lock().clone()
    }
}
