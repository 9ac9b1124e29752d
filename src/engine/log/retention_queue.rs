//! What the retention thread is asked to do: which topics exceed their limits, each once.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

use super::store::TopicKey;

/// The retention thread's list. Bounded by the number of topics, for each stands in it once.
#[derive(Default)]
pub(super) struct RetentionQueue {
    list: Mutex<RetentionTasks>,
    wake: Condvar,
    /// Something died whose space the store may take back.
    dead: AtomicBool,
}

/// What to do.
#[derive(Default)]
pub(super) struct RetentionTasks {
    /// Topics that may keep too much.
    pub(super) topics: BTreeSet<TopicKey>,
    /// The whole store keeps too much.
    pub(super) full: bool,
    /// The engine closes.
    pub(super) ended: bool,
}

impl RetentionQueue {
    /// Asks to trim these topics, and the store when it is `full`.
    pub(super) fn ask(&self, topics: impl IntoIterator<Item = TopicKey>, full: bool) {
        let mut topics = topics.into_iter().peekable();
        if topics.peek().is_some() || full {
            let mut list = self.list.lock();
            list.topics.extend(topics);
            list.full |= full;
            self.wake.notify_one();
        }
    }

    /// Says whether the store has something to take back.
    pub(super) fn set_dead(&self, dead: bool) {
        self.dead.store(dead, Ordering::Release);
    }

    /// Whether the store has something to take back.
    pub(super) fn has_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Ends the retention thread.
    pub(super) fn end(&self) {
        self.list.lock().ended = true;
        self.wake.notify_one();
    }

    /// Waits until there is something to do, at most `patience`, and takes it. `None` when the engine closes.
    pub(super) fn take(&self, patience: Duration) -> Option<RetentionTasks> {
        let mut list = self.list.lock();
        if list.topics.is_empty() && !list.full && !list.ended {
            self.wake.wait_for(&mut list, patience);
        }
        (!list.ended).then(|| std::mem::take(&mut *list))
    }
}
