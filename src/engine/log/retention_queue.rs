//! The retention thread's queue: the set of topics that exceed their limits.

use std::{collections::BTreeSet, time::Duration};

use super::store::TopicKey;
use crate::sync::{
    Condvar, Mutex,
    atomic::{AtomicBool, Ordering},
};

/// The retention thread's queue. Bounded by the number of topics: each is in the set once.
#[derive(Default)]
pub(super) struct RetentionQueue {
    tasks: Mutex<RetentionTasks>,
    wake: Condvar,
    /// The store may have space to reclaim.
    reclaimable: AtomicBool,
}

/// Work for one round.
#[derive(Default)]
pub(super) struct RetentionTasks {
    /// Topics that may exceed their limits.
    pub(super) topics: BTreeSet<TopicKey>,
    /// The store may exceed its cap.
    pub(super) full: bool,
    /// The engine is closing.
    pub(super) closed: bool,
}

impl RetentionQueue {
    /// Requests a trim of these topics, and of the store when it is `full`.
    pub(super) fn enqueue(&self, topics: impl IntoIterator<Item = TopicKey>, full: bool) {
        let mut topics = topics.into_iter().peekable();
        if topics.peek().is_some() || full {
            let mut tasks = self.tasks.lock();
            tasks.topics.extend(topics);
            tasks.full |= full;
            self.wake.notify_one();
        }
    }

    /// Sets whether the store may have space to reclaim.
    pub(super) fn set_reclaimable(&self, reclaimable: bool) {
        self.reclaimable.store(reclaimable, Ordering::Release);
    }

    /// Whether the store may have space to reclaim.
    pub(super) fn has_reclaimable(&self) -> bool {
        self.reclaimable.load(Ordering::Acquire)
    }

    /// Makes the retention thread end.
    pub(super) fn close(&self) {
        self.tasks.lock().closed = true;
        self.wake.notify_one();
    }

    /// Waits for work for at most `timeout`, and takes it. `None` when the engine closes.
    pub(super) fn take(&self, timeout: Duration) -> Option<RetentionTasks> {
        let mut tasks = self.tasks.lock();
        if tasks.topics.is_empty() && !tasks.full && !tasks.closed {
            self.wake.wait_for(&mut tasks, timeout);
        }
        (!tasks.closed).then(|| std::mem::take(&mut *tasks))
    }
}
