//! Idempotency keys of recent publishes, so that a retry appends nothing.
//!
//! The memory for keys is bounded and shared fairly: one owner may use at most half of it, and the last quarter is
//! reserved for owners with little use, so that a few publishers of many keys cannot lock out the others.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    time::Duration,
};

use super::{clock::Now, receipts::StoredReceipts, store::KeyRecord};
use crate::{
    engine::{AppendError, IdempotencyKey, Receipt},
    event::{Epoch, Millis},
};

/// Bytes per unit of capacity. A key of one event takes 200 to 500 bytes, depending on its topic's name.
const UNIT: usize = 512;

/// Bytes that a key takes besides its receipts: its record and its entries in the map and the queue.
const KEY_OVERHEAD: usize = 200;

/// One owner may use 1/2 of the capacity.
const SHARE_PART: usize = 2;

/// The last 1/4 of the capacity is reserved for owners below [`SMALL_SHARE_PART`]: it takes 16 of them to fill it.
const RESERVE_PART: usize = 4;

/// An owner with at most 1/64 of the capacity may use the reserve.
const SMALL_SHARE_PART: usize = 64;

/// The keys used within the window.
pub(super) struct Idempotency {
    window: Duration,
    /// Capacity in units of [`UNIT`] bytes.
    capacity: usize,
    used: usize,
    shares: HashMap<u64, Share>,
    records: HashMap<[u8; 16], KeyRecord>,
    /// Oldest first.
    order: VecDeque<KeyUse>,
}

/// The use of one owner.
#[derive(Default)]
struct Share {
    used: usize,
    /// When its keys were used, oldest first.
    times: VecDeque<Millis>,
}

/// When a key was used.
struct KeyUse {
    /// By the log's clock.
    time: Millis,
    key: [u8; 16],
}

/// The result of a lookup.
#[derive(Debug, PartialEq)]
pub(super) enum Lookup {
    /// Not used within the window.
    Fresh,
    /// Used for the same request, which got these receipts.
    Same(Vec<Receipt>),
    /// Used for another request.
    Other,
}

/// Units that the keys of an uncommitted group will use.
#[derive(Default)]
pub(super) struct PendingUsage {
    used: usize,
    shares: HashMap<u64, usize>,
}

impl PendingUsage {
    pub(super) fn add(&mut self, owner: u64, receipts: &StoredReceipts) {
        self.used += units(receipts);
        *self.shares.entry(owner).or_default() += units(receipts);
    }
}

/// Units that a key with these receipts takes.
fn units(receipts: &StoredReceipts) -> usize {
    (KEY_OVERHEAD + receipts.bytes()).div_ceil(UNIT)
}

impl Idempotency {
    pub(super) fn new(window: Duration, capacity: usize) -> Self {
        Self { window, capacity, used: 0, shares: HashMap::new(), records: HashMap::new(), order: VecDeque::new() }
    }

    /// Looks a key up in a store of this epoch.
    pub(super) fn lookup(&self, key: &IdempotencyKey, epoch: Epoch) -> Lookup {
        match self.records.get(&key.key) {
            None => Lookup::Fresh,
            Some(record) if record.key.fingerprint == key.fingerprint => {
                Lookup::Same(record.receipts.at(epoch, record.time))
            }
            Some(_) => Lookup::Other,
        }
    }

    /// Checks that a key of `owner` with these receipts fits at `now`, in addition to those of the group.
    ///
    /// # Errors
    /// [`AppendError::KeysFull`] with whose capacity is used up and how long to wait; [`AppendError::KeyTooLarge`].
    pub(super) fn check_capacity(
        &self,
        owner: u64,
        receipts: &StoredReceipts,
        group: &PendingUsage,
        now: &Now,
    ) -> Result<(), AppendError> {
        let units = units(receipts);
        let share = self.shares.get(&owner);
        let own = units + share.map_or(0, |share| share.used) + group.shares.get(&owner).copied().unwrap_or(0);
        let all = units + self.used + group.used;
        let part = |part: usize| (self.capacity / part).max(1);
        // Keys stored by an older gapless have no owner: they count only towards the total.
        let has_share = owner != 0;
        let reserved = all > self.capacity - self.capacity / RESERVE_PART && own > part(SMALL_SHARE_PART);
        let keys_full = |own, oldest| Err(AppendError::KeysFull { own, wait: self.wait(oldest, now) });
        if has_share && units > part(SHARE_PART) || units > self.capacity {
            Err(AppendError::KeyTooLarge)
        } else if has_share && own > part(SHARE_PART) {
            keys_full(true, share.and_then(|share| share.times.front().copied()))
        } else if all > self.capacity || has_share && reserved {
            keys_full(false, self.order.front().map(|oldest| oldest.time))
        } else {
            Ok(())
        }
    }

    /// Time until a key used at `oldest` expires; at least 1 s.
    fn wait(&self, oldest: Option<Millis>, now: &Now) -> Duration {
        let age = now.age(oldest.unwrap_or(now.time));
        self.window.saturating_sub(age).max(Duration::from_secs(1))
    }

    /// Adds a key whose commit is durable. Records come in order of time.
    pub(super) fn remember(&mut self, record: KeyRecord) {
        let (owner, units) = (record.key.owner, units(&record.receipts));
        self.used += units;
        let share = self.shares.entry(owner).or_default();
        share.used += units;
        share.times.push_back(record.time);
        self.order.push_back(KeyUse { time: record.time, key: record.key.key });
        if let Some(replaced) = self.records.insert(record.key.key, record) {
            self.release(&replaced);
        }
    }

    /// Removes keys older than the window.
    pub(super) fn expire(&mut self, now: &Now) {
        let expired = now.before(self.window);
        while let Some(oldest_use) = self.order.front()
            && oldest_use.time <= expired
        {
            // A key used again after its window has a younger record, which stays.
            if self.records.get(&oldest_use.key).is_some_and(|record| record.time == oldest_use.time)
                && let Some(record) = self.records.remove(&oldest_use.key)
            {
                self.release(&record);
            }
            self.order.pop_front();
        }
    }

    /// Number of keys in memory.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    fn release(&mut self, record: &KeyRecord) {
        let units = units(&record.receipts);
        self.used -= units;
        if let Entry::Occupied(mut share) = self.shares.entry(record.key.owner) {
            share.get_mut().used -= units;
            share.get_mut().times.pop_front();
            if share.get().times.is_empty() {
                share.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::store::{Leap, Leaps},
        *,
    };
    use crate::event::{Seq, TopicName};

    const WINDOW: Duration = Duration::from_mins(10);
    /// The rest of the window after two seconds.
    const LEFT: Duration = Duration::from_secs(598);

    fn now(ms: u64) -> Now {
        Now { time: Millis(ms), leaps: Leaps::default() }
    }

    fn topic(n: usize) -> TopicName {
        TopicName::new(&format!("t/{n}")).expect("valid")
    }

    fn record(key: u64, owner: u64, time: u64, topics: usize) -> KeyRecord {
        let names: Vec<_> = (0..topics).map(topic).collect();
        let receipts = StoredReceipts::new(Seq(1), names.iter());
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&key.to_be_bytes());
        let key = IdempotencyKey { key: bytes, fingerprint: [0; 16], owner };
        KeyRecord { key, time: Millis(time), receipts }
    }

    /// Adds keys of one event as `owner` until one is refused; returns how many were accepted.
    fn fill(keys: &mut Idempotency, owner: u64, time: u64) -> (usize, AppendError) {
        let mut used = 0;
        loop {
            let record = record(owner << 32 | used as u64, owner, time, 1);
            if let Err(error) = keys.check_capacity(owner, &record.receipts, &PendingUsage::default(), &now(time)) {
                return (used, error);
            }
            keys.remember(record);
            used += 1;
        }
    }

    #[test]
    fn no_owner_uses_up_the_capacity_of_others() {
        let mut keys = Idempotency::new(WINDOW, 6400);
        let (first, error) = fill(&mut keys, 1, 1000);
        assert_eq!((first, error), (3200, AppendError::KeysFull { own: true, wait: WINDOW }));
        let (second, error) = fill(&mut keys, 2, 2000);
        assert!(matches!(fill(&mut keys, 1, 3000).1, AppendError::KeysFull { wait, .. } if wait == LEFT), "of its own");
        let wait = WINDOW.saturating_sub(Duration::from_secs(1));
        assert_eq!((second, error), (1600, AppendError::KeysFull { own: false, wait }), "up to the reserve");
        for owner in 3..19 {
            assert_eq!(fill(&mut keys, owner, 2000).0, 100, "owner {owner} gets a part of the reserve");
        }
        assert_eq!(fill(&mut keys, 19, 2000).0, 0, "the total is bounded");
        keys.expire(&now(601_001));
        assert!(!keys.shares.contains_key(&1));
        assert!(fill(&mut keys, 19, 601_002).0 >= 100);
    }

    #[test]
    fn keys_count_by_the_memory_they_take() {
        let keys = Idempotency::new(WINDOW, 1000);
        let check =
            |topics| keys.check_capacity(1, &record(1, 1, 1, topics).receipts, &PendingUsage::default(), &now(1));
        assert_eq!(check(4000), Ok(()));
        assert_eq!(check(8000), Err(AppendError::KeyTooLarge), "it never fits, so waiting does not help");
    }

    #[test]
    fn a_group_counts_its_own_keys() {
        let keys = Idempotency::new(WINDOW, 4);
        let (mut group, one) = (PendingUsage::default(), record(1, 1, 1, 1).receipts);
        for _ in 0..2 {
            assert_eq!(keys.check_capacity(1, &one, &group, &now(1)), Ok(()));
            group.add(1, &one);
        }
        assert!(matches!(keys.check_capacity(1, &one, &group, &now(1)), Err(AppendError::KeysFull { own: true, .. })));
    }

    #[test]
    fn a_clock_that_leaps_ahead_expires_no_key() {
        let mut keys = Idempotency::new(WINDOW, 1);
        let years = WINDOW * 500_000;
        let leap = Leap { at: Millis(2000), to: Millis(2000).after(years), gained: years };
        let now = |ms| Now { time: Millis(ms).after(years), leaps: Leaps::default().with(leap) };
        keys.remember(record(1, 1, 1000, 1));
        keys.expire(&now(3000));
        assert_eq!(keys.used, 1);
        let wait = keys.check_capacity(2, &record(2, 2, 1, 1).receipts, &PendingUsage::default(), &now(3000));
        assert_eq!(wait, Err(AppendError::KeysFull { own: false, wait: LEFT }));
        keys.expire(&now(600_999));
        assert_eq!(keys.used, 1);
        keys.expire(&now(601_000));
        assert_eq!((keys.used, keys.records.len()), (0, 0));
    }
}
