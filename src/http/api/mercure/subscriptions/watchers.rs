//! The streams that are told of subscriptions. A change wakes those that may be told of it, and no others.

use std::{
    collections::{BTreeSet, HashMap},
    task::Waker,
};

use slab::Slab;

use super::{interest::Interest, subscriber::Subscriber};

/// All of them.
#[derive(Debug, Default)]
pub struct Watchers {
    all: Slab<Watcher>,
    /// Those that are interested in any subscription.
    of_any: BTreeSet<usize>,
    /// Those that are interested in the subscriptions of these paths.
    by_path: HashMap<Box<str>, BTreeSet<usize>>,
}

/// One stream.
#[derive(Debug)]
struct Watcher {
    interest: Interest,
    /// The first change that it may have to be told.
    due: Option<u64>,
    /// Its task, while it sleeps.
    waker: Option<Waker>,
}

impl Watchers {
    /// Adds a stream, which is to be told the changes from `due` on.
    pub fn add(&mut self, interest: Interest, due: Option<u64>) -> usize {
        let key = self.all.vacant_key();
        match &interest {
            Interest::Any => drop(self.of_any.insert(key)),
            Interest::In(paths) => {
                for path in paths {
                    self.by_path.entry(path.clone()).or_default().insert(key);
                }
            }
        }
        self.all.insert(Watcher { interest, due, waker: None })
    }

    /// Removes a stream.
    pub fn remove(&mut self, key: usize) {
        let Some(watcher) = self.all.try_remove(key) else { return };
        self.of_any.remove(&key);
        let Interest::In(paths) = watcher.interest else { return };
        for path in paths {
            if let Some(keys) = self.by_path.get_mut(&path) {
                keys.remove(&key);
                if keys.is_empty() {
                    self.by_path.remove(&path);
                }
            }
        }
    }

    /// The change with this number is of `subscriber`. Returns the tasks to be woken.
    #[must_use]
    pub fn changed(&mut self, number: u64, subscriber: &Subscriber) -> Vec<Waker> {
        let mut wakers = Vec::new();
        let Self { all, of_any, by_path } = self;
        let mut tell = |keys: &BTreeSet<usize>| {
            for key in keys {
                let Some(watcher) = all.get_mut(*key) else { continue };
                watcher.due.get_or_insert(number);
                wakers.extend(watcher.waker.take());
            }
        };
        tell(of_any);
        for subscription in &subscriber.subscriptions {
            if let Some(keys) = by_path.get(subscription.collection.path()) {
                tell(keys);
            }
        }
        wakers
    }

    /// The first change that a stream that knows those before `from` is to be told, out of those before `next`. `None` when
    /// there is none: then `waker` is woken when there is.
    pub fn due(&mut self, key: usize, from: u64, next: u64, waker: &Waker) -> Option<u64> {
        let watcher = self.all.get_mut(key)?;
        watcher.due = watcher.due.map(|due| due.max(from)).filter(|due| *due < next);
        watcher.waker = if watcher.due.is_none() { Some(waker.clone()) } else { None };
        watcher.due
    }

    /// Whether there are none.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && self.of_any.is_empty() && self.by_path.is_empty()
    }

    /// A stream is told all that is active, and so the changes so far.
    pub fn begins_anew(&mut self, key: usize) {
        if let Some(watcher) = self.all.get_mut(key) {
            watcher.due = None;
        }
    }
}
