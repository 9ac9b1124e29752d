//! What one address or one holder has open and has used.
//!
//! Counts of what is open are single numbers. Rates are behind one short lock, so that a publish is measured by all of
//! them before any is charged: a refused one uses nothing up.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    QuotaConfig, QuotaLimits,
    bucket::{Bucket, Moment, Rate},
    exceeded::{Exceeded, Limit},
};
use crate::hub::stats::Counter;

/// How long to wait when too much is open. Nobody knows when something will be closed; this is what a client waits by default
/// before it reconnects (`stream.retry`).
const OPEN_WAIT: Duration = Duration::from_secs(3);

/// Whose an account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum AccountKind {
    Address,
    Holder,
}

/// What all accounts go by.
#[derive(Debug)]
pub(super) struct Common {
    allowances: ArcSwap<QuotaConfig>,
    began: Instant,
    refused: [Counter; Limit::ALL.len()],
}

/// What one address or one holder has open and has used. Shared by all cores; kept by whoever uses it often.
#[derive(Debug)]
pub struct Account {
    kind: AccountKind,
    /// Whether it is of all who came while there was no room to tell them apart.
    shared: bool,
    common: Arc<Common>,
    connections: AtomicU64,
    streams: AtomicU64,
    /// Bytes that it has of each [room](crate::http::room).
    held: [AtomicUsize; 2],
    buckets: Mutex<Buckets>,
    events: Counter,
    bytes: Counter,
    refused: Counter,
}

#[derive(Debug, Default)]
struct Buckets {
    events: Bucket,
    bytes: Bucket,
    topics: Bucket,
    bad_credentials: Bucket,
}

/// What memory is shared for, each kind by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldMemory {
    /// Bodies of requests, until what they say is done.
    Bodies,
    /// JSON pages, until their clients have read them.
    Pages,
}

/// A place among what one may have open; given back when it is dropped.
#[derive(Debug)]
#[must_use = "the place is given back when this is dropped"]
pub struct OpenPermit {
    account: Arc<Account>,
    open: fn(&Account) -> &AtomicU64,
}

impl Common {
    pub(super) fn new(allowances: &QuotaConfig) -> Self {
        let allowances = ArcSwap::from_pointee(allowances.clone());
        Self { allowances, began: Instant::now(), refused: Default::default() }
    }

    pub(super) fn configure(&self, allowances: &QuotaConfig) {
        self.allowances.store(Arc::new(allowances.clone()));
    }

    pub(super) fn now(&self) -> Moment {
        Moment::try_from(self.began.elapsed().as_nanos()).expect("a process ends within 584 years")
    }

    pub(super) fn refused(&self, limit: Limit) -> u64 {
        self.refused[limit as usize].get()
    }
}

impl Account {
    pub(super) fn new(kind: AccountKind, shared: bool, common: Arc<Common>) -> Self {
        Self {
            kind,
            shared,
            common,
            connections: AtomicU64::default(),
            streams: AtomicU64::default(),
            held: Default::default(),
            buckets: Mutex::default(),
            events: Counter::default(),
            bytes: Counter::default(),
            refused: Counter::default(),
        }
    }

    /// Opens a connection, which is closed when the seat is dropped.
    ///
    /// # Errors
    /// When this address has as many as it may.
    pub fn connect(self: &Arc<Self>) -> Result<OpenPermit, Exceeded> {
        let limit = self.allowed(|allowance| allowance.connections);
        self.join(|account| &account.connections, limit, Limit::AddressConnections)
    }

    /// Opens a stream, which is closed when the seat is dropped.
    ///
    /// # Errors
    /// When this one has as many as it may.
    pub fn stream(self: &Arc<Self>) -> Result<OpenPermit, Exceeded> {
        let limit = self.allowed(|allowance| allowance.streams);
        self.join(|account| &account.streams, limit, self.kind.streams())
    }

    /// Publishes `events` with `bytes` of data. What is more than a second's worth is let in when nothing is owed, because it
    /// could not come otherwise, and what follows waits until it is paid back: 1 MiB at 64 KiB a second for 16 s.
    ///
    /// # Errors
    /// When this one must wait. Nothing was counted.
    pub fn publish(&self, events: u32, bytes: u64) -> Result<(), Exceeded> {
        self.publish_as(None, events, bytes)
    }

    /// The same by this address with a token of `holder`: both are counted, or neither.
    ///
    /// # Errors
    /// When one of both must wait.
    pub fn publish_for(&self, holder: &Self, events: u32, bytes: u64) -> Result<(), Exceeded> {
        // All take the locks in this order, so that nobody waits for a lock in a circle.
        debug_assert!(self.kind < holder.kind, "an address publishes for a holder");
        self.publish_as(Some(holder), events, bytes)
    }

    /// Whether [`Self::topic`] may refuse: who asks it first finds out which topics are new.
    #[must_use]
    pub fn may_run_out_of_topics(&self) -> bool {
        self.allowed(|allowance| allowance.topics).is_some()
    }

    /// Makes a topic.
    ///
    /// # Errors
    /// When this holder must wait.
    pub fn topic(&self) -> Result<(), Exceeded> {
        let Some(limit) = self.allowed(|allowance| allowance.topics) else { return Ok(()) };
        let (rate, now) = (Rate::an_hour(limit), self.common.now());
        let mut buckets = self.buckets.lock();
        self.must_wait(buckets.topics, 1, rate, Limit::HolderTopics, now)?;
        buckets.topics.take(1, rate, now);
        Ok(())
    }

    /// Notes that this address sent a bad credential.
    pub fn bad_credential(&self) {
        let Some(limit) = self.allowed(|allowance| allowance.bad_credentials) else { return };
        let (rate, now) = (Rate::a_second(limit), self.common.now());
        let mut buckets = self.buckets.lock();
        buckets.bad_credentials.take(1, rate, now);
        // Those that were looked at together are not waited for in turn.
        buckets.bad_credentials.forgive(rate, now);
    }

    /// Whether a credential of this address is looked at. Uses nothing up: only bad ones count.
    ///
    /// # Errors
    /// When too many of its last ones were bad.
    pub fn may_try_credential(&self) -> Result<(), Exceeded> {
        let Some(limit) = self.allowed(|allowance| allowance.bad_credentials) else { return Ok(()) };
        let bucket = self.buckets.lock().bad_credentials;
        self.must_wait(bucket, 1, Rate::a_second(limit), Limit::BadCredentials, self.common.now())
    }

    /// Counts `bytes` of memory. Answers with all it has of that kind then.
    pub fn hold(&self, memory: HeldMemory, bytes: usize) -> usize {
        self.held[memory as usize].fetch_add(bytes, Relaxed) + bytes
    }

    /// Counts `bytes` no more.
    pub fn release(&self, memory: HeldMemory, bytes: usize) {
        self.held[memory as usize].fetch_sub(bytes, Relaxed);
    }

    /// Connections it has open.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// Streams it has open.
    #[must_use]
    pub fn streams(&self) -> u64 {
        self.streams.load(Relaxed)
    }

    /// Events it has published since it is known.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events.get()
    }

    /// Bytes of their data.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// How often it met a limit.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.get()
    }

    /// Whether it owes nothing, so that a new account would be as good. What is open holds the account itself.
    pub(super) fn is_rested(&self, now: Moment) -> bool {
        let Buckets { events, bytes, topics, bad_credentials } = &*self.buckets.lock();
        [events, bytes, topics, bad_credentials].iter().all(|bucket| bucket.is_full(now))
    }

    fn allowed<T>(&self, of: impl FnOnce(&QuotaLimits) -> Option<T>) -> Option<T> {
        let allowances = self.common.allowances.load();
        of(match self.kind {
            AccountKind::Address => &allowances.address,
            AccountKind::Holder => &allowances.holder,
        })
    }

    fn join(
        self: &Arc<Self>,
        open: fn(&Self) -> &AtomicU64,
        limit: Option<u64>,
        what: Limit,
    ) -> Result<OpenPermit, Exceeded> {
        let most = limit.unwrap_or(u64::MAX);
        match open(self).fetch_update(Relaxed, Relaxed, |count| (count < most).then_some(count + 1)) {
            Ok(_) => Ok(OpenPermit { account: Arc::clone(self), open }),
            Err(_) => Err(self.refuse(what, most, OPEN_WAIT)),
        }
    }

    fn publish_as(&self, holder: Option<&Self>, events: u32, bytes: u64) -> Result<(), Exceeded> {
        let rates = self.allowed(QuotaLimits::published);
        if rates.is_some() || holder.is_some_and(|holder| holder.allowed(QuotaLimits::published).is_some()) {
            self.measure(holder, events, bytes, self.common.now())?;
        }
        for account in [Some(self), holder].into_iter().flatten() {
            account.events.add(events.into());
            account.bytes.add(bytes);
        }
        Ok(())
    }

    /// Asks all rates, then charges all.
    fn measure(&self, holder: Option<&Self>, events: u32, bytes: u64, now: Moment) -> Result<(), Exceeded> {
        let rates = self.allowed(QuotaLimits::published).unwrap_or_default();
        let mut buckets = self.buckets.lock();
        if let Some(rate) = rates.events {
            self.must_wait(buckets.events, events.into(), rate, self.kind.events(), now)?;
        }
        if let Some(rate) = rates.bytes {
            self.must_wait(buckets.bytes, bytes, rate, self.kind.bytes(), now)?;
        }
        if let Some(holder) = holder {
            holder.measure(None, events, bytes, now)?;
        }
        if let Some(rate) = rates.events {
            buckets.events.take(events.into(), rate, now);
        }
        if let Some(rate) = rates.bytes {
            buckets.bytes.take(bytes, rate, now);
        }
        Ok(())
    }

    fn must_wait(&self, bucket: Bucket, n: u64, rate: Rate, what: Limit, now: Moment) -> Result<(), Exceeded> {
        let wait = bucket.wait(n, rate, now);
        if wait.is_zero() { Ok(()) } else { Err(self.refuse(what, rate.count.get().into(), wait)) }
    }

    fn refuse(&self, what: Limit, limit: u64, wait: Duration) -> Exceeded {
        self.refused.add(1);
        self.common.refused[what as usize].add(1);
        Exceeded { what, limit, wait, common: self.shared }
    }
}

/// The rates of a publish.
#[derive(Default)]
struct Published {
    events: Option<Rate>,
    bytes: Option<Rate>,
}

impl QuotaLimits {
    /// The rates of a publish; `None` when neither is limited, so that most hubs read no clock and take no lock.
    fn published(&self) -> Option<Published> {
        let rate = |limit: Option<NonZeroU32>| limit.map(Rate::a_second);
        let (events, bytes) = (rate(self.events), rate(self.bytes));
        (events.is_some() || bytes.is_some()).then_some(Published { events, bytes })
    }
}

impl AccountKind {
    const fn streams(self) -> Limit {
        match self {
            Self::Address => Limit::AddressStreams,
            Self::Holder => Limit::HolderStreams,
        }
    }

    const fn events(self) -> Limit {
        match self {
            Self::Address => Limit::AddressEvents,
            Self::Holder => Limit::HolderEvents,
        }
    }

    const fn bytes(self) -> Limit {
        match self {
            Self::Address => Limit::AddressBytes,
            Self::Holder => Limit::HolderBytes,
        }
    }
}

impl Drop for OpenPermit {
    fn drop(&mut self) {
        (self.open)(&self.account).fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    #[test]
    fn without_limits_nobody_waits_for_a_lock() {
        let account = |kind| {
            let common = Arc::new(Common::new(&QuotaConfig::default()));
            Arc::new(Account::new(kind, false, common))
        };
        let (address, holder) = (account(AccountKind::Address), account(AccountKind::Holder));
        let _locks = [address.buckets.lock(), holder.buckets.lock()];
        let (done, is_done) = mpsc::channel();
        let (address, holder) = (Arc::clone(&address), Arc::clone(&holder));
        thread::spawn(move || {
            address.publish_for(&holder, 1, 1).expect("no limit");
            holder.topic().expect("no limit");
            address.bad_credential();
            address.may_try_credential().expect("no limit");
            drop([address.connect(), address.stream(), holder.stream()]);
            done.send(()).expect("somebody waits");
        });
        is_done.recv_timeout(Duration::from_secs(30)).expect("nothing was waited for");
    }
}
