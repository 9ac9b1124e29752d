//! The retention thread's queue: the set of topics that exceed their limits.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

use super::store::TopicKey;

/// The retention thread's queue. Bounded by the number of topics: each is in the set once.
#[derive(Default)]
pub(super) struct RetentionQueue {
    list: Mutex<RetentionTasks>,
    wake: Condvar,
    /// The store may have space to reclaim.
    dead: AtomicBool,
}

/// Work for one round.
#[derive(Default)]
pub(super) struct RetentionTasks {
    /// Topics that may exceed their limits.
    pub(super) topics: BTreeSet<TopicKey>,
    /// The store may exceed its cap.
    pub(super) full: bool,
    /// The engine is closing.
    pub(super) ended: bool,
}

impl RetentionQueue {
    /// Requests a trim of these topics, and of the store when it is `full`.
    pub(super) fn ask(&self, topics: impl IntoIterator<Item = TopicKey>, full: bool) {
        let mut topics = topics.into_iter().peekable();
        if topics.peek().is_some() || full {
            let mut list = self.list.lock();
            list.topics.extend(topics);
            list.full |= full;
            self.wake.notify_one();
        }
    }

    /// Sets whether the store may have space to reclaim.
    pub(super) fn set_dead(&self, dead: bool) {
        self.dead.store(dead, Ordering::Release);
    }

    /// Whether the store may have space to reclaim.
    pub(super) fn has_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Makes the retention thread end.
    pub(super) fn end(&self) {
        self.list.lock().ended = true;
        self.wake.notify_one();
    }

    /// Waits for work for at most `patience`, and takes it. `None` when the engine closes.
    pub(super) fn take(&self, patience: Duration) -> Option<RetentionTasks> {
        let mut list = self.list.lock();
        if list.topics.is_empty() && !list.full && !list.ended {
            self.wake.wait_for(&mut list, patience);
        }
        (!list.ended).then(|| std::mem::take(&mut *list))
    }
}
