//! What is active in this process, and the newest changes of it. One lock, which is held for what one connection, or one
//! page of a reader, takes; none where subscriptions are not told.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    task::Waker,
};

use parking_lot::Mutex;

use super::{
    change_id::ChangeId,
    changes::{Change, Changes},
    collection::Collection,
    interest::Interest,
    subscriber::{ActiveSubscription, Subscriber},
    watchers::Watchers,
};
use crate::{event::Epoch, http::api::mercure::update_form::EARLIEST};

/// What is active.
#[derive(Debug)]
pub struct ActiveSubscriptions {
    process: Epoch,
    tables: Mutex<RegistryTables>,
}

#[derive(Debug, Default)]
struct RegistryTables {
    /// The number of the next subscriber.
    next: u64,
    subscribers: BTreeMap<u64, Arc<Subscriber>>,
    /// Who has subscribed to each selector.
    by_collection: HashMap<Collection, BTreeSet<u64>>,
    changes: Changes,
    watchers: Watchers,
}

/// Where a stream that is told of subscriptions begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchFrom {
    /// With this change, which is the next one: its client had no cursor.
    Now(u64),
    /// The change that its client has not been told.
    Change(u64),
    /// With all that is active.
    All(SnapshotReason),
}

/// Why a stream is told all that is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotReason {
    /// Its client has asked for all that is kept.
    Earliest,
    /// Its cursor says nothing of subscriptions, or is of another process.
    Unknown,
    /// The changes after its cursor are forgotten.
    Forgotten,
}

/// What the client of a stream has said of where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownChanges {
    /// Nothing.
    None,
    /// `earliest`.
    Earliest,
    /// A cursor, which may know the changes up to one.
    Cursor(Option<ChangeId>),
}

impl KnownChanges {
    /// What a cursor says.
    #[must_use]
    pub fn of(cursor: Option<&str>) -> Self {
        match cursor {
            None => Self::None,
            Some(EARLIEST) => Self::Earliest,
            Some(text) => Self::Cursor(ChangeId::split(text).1),
        }
    }
}

/// A registered subscriber.
#[derive(Debug)]
pub struct Registered {
    /// It.
    pub subscriber: Arc<Subscriber>,
    /// The key of its stream among those that are told, and where that begins.
    pub watcher: Option<(usize, WatchFrom)>,
}

/// What a stream is to be told next.
#[derive(Debug)]
pub enum NextChanges {
    /// Nothing before this change. The waker is woken when there is.
    None(u64),
    /// These, from this number on.
    Some(u64, Vec<Change>),
    /// What is active: the changes are forgotten.
    Forgotten,
}

impl ActiveSubscriptions {
    /// None yet.
    ///
    /// # Panics
    /// When the system has no random numbers.
    #[must_use]
    pub fn new() -> Self {
        let process = Epoch::from_random(getrandom::u64().expect("the system has random numbers"));
        Self { process, tables: Mutex::default() }
    }

    /// A subscriber has come. Its stream is told of those that `interest` is in, and of itself.
    #[must_use]
    pub fn add(
        &self,
        mut subscriptions: Vec<ActiveSubscription>,
        interest: Option<Interest>,
        known: KnownChanges,
    ) -> Registered {
        let mut tables = self.tables.lock();
        let next = tables.changes.next();
        let from = match known {
            KnownChanges::None => WatchFrom::Now(next),
            KnownChanges::Earliest => WatchFrom::All(SnapshotReason::Earliest),
            KnownChanges::Cursor(Some(id)) if id.process == self.process && tables.changes.keeps(id.next) => {
                WatchFrom::Change(id.next)
            }
            KnownChanges::Cursor(Some(id)) if id.process == self.process => WatchFrom::All(SnapshotReason::Forgotten),
            KnownChanges::Cursor(_) => WatchFrom::All(SnapshotReason::Unknown),
        };
        let due = match from {
            WatchFrom::Change(number) if number < next => Some(number),
            _ => None,
        };
        let watcher = interest.map(|interest| (tables.watchers.add(interest, due), from));
        let number = tables.next;
        tables.next += 1;
        for subscription in &mut subscriptions {
            // Equal paths are one text in memory.
            if let Some((known, _)) = tables.by_collection.get_key_value(&subscription.collection) {
                subscription.collection = known.clone();
            }
            tables.by_collection.entry(subscription.collection.clone()).or_default().insert(number);
        }
        let subscriber = Arc::new(Subscriber::new(number, subscriptions));
        tables.subscribers.insert(number, Arc::clone(&subscriber));
        let wakers = tables.change(Arc::clone(&subscriber), true);
        drop(tables);
        wakers.into_iter().for_each(Waker::wake);
        Registered { subscriber, watcher }
    }

    /// A subscriber has left.
    pub fn remove(&self, Registered { subscriber, watcher }: &Registered) {
        let mut tables = self.tables.lock();
        if let Some((key, _)) = watcher {
            tables.watchers.remove(*key);
        }
        tables.subscribers.remove(&subscriber.number);
        for subscription in &subscriber.subscriptions {
            if let Some(members) = tables.by_collection.get_mut(&subscription.collection) {
                members.remove(&subscriber.number);
                if members.is_empty() {
                    tables.by_collection.remove(&subscription.collection);
                }
            }
        }
        let wakers = tables.change(Arc::clone(subscriber), false);
        drop(tables);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The id of the next change, and the number of the next subscriber: what is active now has a lower one.
    #[must_use]
    pub fn now(&self) -> (ChangeId, u64) {
        let tables = self.tables.lock();
        (self.id(tables.changes.next()), tables.next)
    }

    /// The id of a change.
    #[must_use]
    pub fn id(&self, next: u64) -> ChangeId {
        ChangeId { process: self.process, next }
    }

    /// The same as [`ActiveSubscriptions::now`] for a stream that is told all that is active from here.
    #[must_use]
    pub fn begin_anew(&self, watcher: usize) -> (u64, u64) {
        let mut tables = self.tables.lock();
        tables.watchers.begins_anew(watcher);
        (tables.changes.next(), tables.next)
    }

    /// The next changes that a stream is to be told, at most `limit`; it knows those before `from`.
    #[must_use]
    pub fn changes(&self, watcher: usize, from: u64, limit: usize, waker: &Waker) -> NextChanges {
        let mut tables = self.tables.lock();
        let next = tables.changes.next();
        let Some(due) = tables.watchers.due(watcher, from, next, waker) else { return NextChanges::None(next) };
        match tables.changes.from(due, limit) {
            Ok(changes) => NextChanges::Some(due, changes),
            Err(_) => NextChanges::Forgotten,
        }
    }

    /// The active subscription with this path and this subscriber: the subscriber, and the index there.
    #[must_use]
    pub fn find(&self, collection: &Collection, id: &str) -> Option<(Arc<Subscriber>, usize)> {
        let tables = self.tables.lock();
        let members = tables.by_collection.get(collection)?.iter().filter_map(|number| tables.subscribers.get(number));
        let subscriber = members.into_iter().find(|subscriber| *subscriber.id == *id)?;
        let place = subscriber.subscriptions.iter().position(|one| one.collection == *collection)?;
        Some((Arc::clone(subscriber), place))
    }

    /// The active subscribers with numbers from `from` to below `below`, at most `limit`, in order: all, or those that have a
    /// subscription with this path.
    #[must_use]
    pub fn subscribers(&self, path: Option<&str>, from: u64, below: u64, limit: usize) -> Vec<Arc<Subscriber>> {
        let tables = self.tables.lock();
        if from >= below {
            return Vec::new();
        }
        let Some(path) = path else {
            return tables.subscribers.range(from..below).take(limit).map(|(_, one)| Arc::clone(one)).collect();
        };
        let Some(members) = tables.by_collection.get(path) else { return Vec::new() };
        let numbers = members.range(from..below).take(limit);
        numbers.filter_map(|number| tables.subscribers.get(number)).cloned().collect()
    }
}

impl Default for ActiveSubscriptions {
    fn default() -> Self {
        Self::new()
    }
}

impl RegistryTables {
    /// Records a change. Returns the tasks to be woken, when the lock is free.
    fn change(&mut self, subscriber: Arc<Subscriber>, active: bool) -> Vec<Waker> {
        let wakers = self.watchers.changed(self.changes.next(), &subscriber);
        self.changes.push(Change { subscriber, active });
        wakers
    }
}

#[cfg(test)]
mod tests;
