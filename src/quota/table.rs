//! A map of accounts by key, bounded in number.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;

use super::{
    account::{Account, AccountKind, QuotaState},
    bucket::Moment,
};

/// Parts with a lock each, so that cores seldom contend: a multiple of the usual number of cores.
const PARTS: usize = 16;

/// Parts that one [`AccountTable::sweep`] visits. All of them would take 18 ms when 100,000 accounts are removed at
/// once (measured), which would delay the streams of the core.
const PARTS_PER_SWEEP: usize = PARTS / 8;

/// The accounts of one kind.
#[derive(Debug)]
pub(super) struct AccountTable<K> {
    parts: [Mutex<HashMap<K, Arc<Account>>>; PARTS],
    /// Selects the part. With a random key, like the maps: clients choose their addresses.
    hasher: RandomState,
    count: AtomicUsize,
    capacity: usize,
    /// The next part to sweep.
    next: AtomicUsize,
    kind: AccountKind,
    state: Arc<QuotaState>,
    /// The account of all keys that come while the table is full.
    shared: Arc<Account>,
}

impl<K: Eq + Hash> AccountTable<K> {
    pub(super) fn new(kind: AccountKind, capacity: usize, state: &Arc<QuotaState>) -> Self {
        Self {
            parts: Default::default(),
            hasher: RandomState::new(),
            count: AtomicUsize::new(0),
            capacity,
            next: AtomicUsize::new(0),
            kind,
            state: Arc::clone(state),
            shared: Arc::new(Account::new(kind, true, Arc::clone(state))),
        }
    }

    /// The account of `key`. Created if there is none, unless the table is full: then the shared one.
    pub(super) fn get<Q>(&self, key: &Q, owned: impl FnOnce() -> K) -> Arc<Account>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        #[expect(clippy::cast_possible_truncation, reason = "the low bits are as good as any")]
        let part = self.hasher.hash_one(key) as usize % PARTS;
        let mut accounts = self.parts[part].lock();
        if let Some(account) = accounts.get(key) {
            return Arc::clone(account);
        }
        let room = self.count.fetch_update(Relaxed, Relaxed, |count| (count < self.capacity).then_some(count + 1));
        if room.is_err() {
            return Arc::clone(&self.shared);
        }
        let account = Arc::new(Account::new(self.kind, false, Arc::clone(&self.state)));
        accounts.insert(owned(), Arc::clone(&account));
        account
    }

    /// The number of accounts, without the shared one.
    pub(super) fn len(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Removes the idle accounts of the next parts; eight calls visit all parts.
    ///
    /// An idle account has nothing open, owes nothing, and has no other reference: a new one would be equivalent, but
    /// for its totals.
    pub(super) fn sweep(&self, now: Moment) {
        let next = self.next.fetch_add(PARTS_PER_SWEEP, Relaxed);
        for part in next..next + PARTS_PER_SWEEP {
            self.forget(part % PARTS, u64::MAX, now);
        }
    }

    /// Removes idle accounts only while there are more than `kept`: those with the fewest events, and all with as few.
    pub(super) fn sweep_beyond(&self, kept: usize, now: Moment) {
        let excess = self.len().saturating_sub(kept);
        if excess == 0 {
            return;
        }
        let mut sums = Vec::new();
        for part in &self.parts {
            sums.extend(part.lock().values().filter(|account| is_idle(account, now)).map(|account| account.events()));
        }
        let max_events = if excess < sums.len() { *sums.select_nth_unstable(excess - 1).1 } else { u64::MAX };
        for part in 0..PARTS {
            self.forget(part, max_events, now);
        }
    }

    /// Removes the idle accounts of a part that have at most `max_events` events.
    fn forget(&self, part: usize, max_events: u64, now: Moment) {
        let mut accounts = self.parts[part].lock();
        let before = accounts.len();
        accounts.retain(|_, account| account.events() > max_events || !is_idle(account, now));
        self.count.fetch_sub(before - accounts.len(), Relaxed);
        // Frees the memory that a flood of accounts took.
        if accounts.capacity() > 4 * accounts.len().max(64) {
            let twice = 2 * accounts.len();
            accounts.shrink_to(twice);
        }
    }

    /// Maps the `count` accounts with the highest rank, in no particular order.
    pub(super) fn highest<R: Ord, T>(
        &self,
        count: usize,
        rank: impl Fn(&Account) -> R,
        make: impl Fn(&K, &Account) -> T,
    ) -> Vec<T> {
        let mut highest: Vec<(R, T)> = Vec::new();
        for part in &self.parts {
            let accounts = part.lock();
            let mut ranked: Vec<_> = accounts.iter().map(|(key, account)| (rank(account), key, account)).collect();
            ranked.sort_unstable_by(|a, b| b.0.cmp(&a.0));
            highest.extend(ranked.into_iter().take(count).map(|(rank, key, account)| (rank, make(key, account))));
        }
        highest.sort_by(|a, b| b.0.cmp(&a.0));
        highest.into_iter().take(count).map(|(_, generated)| generated).collect()
    }
}

/// Whether an account is idle. To be called under the lock of its part, where alone new references are created.
fn is_idle(account: &Arc<Account>, now: Moment) -> bool {
    Arc::strong_count(account) == 1 && account.is_settled(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::QuotaConfig;

    fn table(capacity: usize) -> AccountTable<u32> {
        AccountTable::new(AccountKind::Address, capacity, &Arc::new(QuotaState::new(&QuotaConfig::default())))
    }

    #[test]
    fn a_flood_is_forgotten_in_a_few_sweeps_none_of_them_long_and_leaves_no_memory_taken() {
        let table = table(10_000);
        for n in 0..20_000 {
            let _ = table.get(&n, || n);
        }
        assert_eq!(table.len(), 10_000);
        for sweep in 1..=8 {
            let before = table.len();
            table.sweep(0);
            assert!(before - table.len() <= 2500, "{sweep}: {before}, {}", table.len());
        }
        assert_eq!(table.len(), 0);
        assert!(table.parts.iter().all(|part| part.lock().capacity() <= 256));
    }

    #[test]
    fn the_count_is_that_of_the_accounts_also_under_concurrency() {
        let table = table(100);
        std::thread::scope(|scope| {
            for begin in 0..8 {
                let table = &table;
                scope.spawn(move || {
                    for n in 0..2000 {
                        let _ = table.get(&(begin * 10 + n % 50), || begin * 10 + n % 50);
                        if n % 7 == 0 {
                            table.sweep(0);
                        }
                        assert!(table.len() <= 100);
                    }
                });
            }
        });
        let there: usize = table.parts.iter().map(|part| part.lock().len()).sum();
        assert_eq!(there, table.len());
    }
}
