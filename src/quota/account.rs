//! The account of one address or one holder: what it has open, and what it has used.
//!
//! Counts of open things are single atomics. Rates are behind one short lock, so that a publish is checked against all
//! of them before any is charged: a refused publish uses nothing up.

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

/// The wait that is reported when too much is open. When something will be closed is not known; an EventSource waits
/// for some seconds, too, before it reconnects.
const OPEN_WAIT: Duration = Duration::from_secs(3);

/// The kind of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum AccountKind {
    Address,
    Holder,
}

/// What all accounts share: the configuration, the clock, the counters of refusals.
#[derive(Debug)]
pub(super) struct QuotaState {
    config: ArcSwap<QuotaConfig>,
    began: Instant,
    refused: [AtomicU64; Limit::ALL.len()],
}

/// The account of one address or one holder. Shared by all cores.
#[derive(Debug)]
pub struct Account {
    kind: AccountKind,
    /// Whether it is the shared account of all clients that came while the table was full.
    shared: bool,
    pub(super) state: Arc<QuotaState>,
    connections: AtomicU64,
    streams: AtomicU64,
    pub(super) runs: AtomicU64,
    /// Bytes that it has of each [memory budget](super::memory), by [`HeldMemory`].
    held: [AtomicUsize; 2],
    pub(super) buckets: Mutex<Buckets>,
    events: AtomicU64,
    bytes: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Buckets {
    events: Bucket,
    bytes: Bucket,
    topics: Bucket,
    pub(super) runs: Bucket,
    pub(super) tokens: Bucket,
    bad_credentials: Bucket,
}

/// The kinds of memory budgets, each with shares of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldMemory {
    /// Request bodies, until their requests are done.
    Bodies,
    /// JSON pages, until their clients have read them.
    Pages,
}

/// A permit for an open connection. Dropping it returns it.
#[derive(Debug)]
#[must_use = "dropping it returns the permit"]
pub struct ConnectionPermit(Arc<Account>);

/// A permit for an open stream. Dropping it returns it.
#[derive(Debug)]
#[must_use = "dropping it returns the permit"]
pub struct StreamPermit(Arc<Account>);

impl QuotaState {
    pub(super) fn new(config: &QuotaConfig) -> Self {
        let config = ArcSwap::from_pointee(config.clone());
        Self { config, began: Instant::now(), refused: Default::default() }
    }

    pub(super) fn configure(&self, config: &QuotaConfig) {
        self.config.store(Arc::new(config.clone()));
    }

    pub(super) fn now(&self) -> Moment {
        Moment::try_from(self.began.elapsed().as_nanos()).expect("a process ends within 584 years")
    }

    pub(super) fn refused(&self, limit: Limit) -> u64 {
        self.refused[limit as usize].load(Relaxed)
    }
}

impl Account {
    pub(super) fn new(kind: AccountKind, shared: bool, state: Arc<QuotaState>) -> Self {
        Self {
            kind,
            shared,
            state,
            connections: AtomicU64::default(),
            streams: AtomicU64::default(),
            runs: AtomicU64::default(),
            held: Default::default(),
            buckets: Mutex::default(),
            events: AtomicU64::default(),
            bytes: AtomicU64::default(),
            refused: AtomicU64::default(),
        }
    }

    /// Takes a permit for a connection.
    ///
    /// # Errors
    /// When this address has as many connections as it may.
    pub fn connect(self: &Arc<Self>) -> Result<ConnectionPermit, Exceeded> {
        let limit = self.allowed(|limits| limits.connections);
        self.acquire(&self.connections, limit, Limit::AddressConnections)?;
        Ok(ConnectionPermit(Arc::clone(self)))
    }

    /// Takes a permit for a stream.
    ///
    /// # Errors
    /// When this account has as many streams as it may.
    pub fn stream(self: &Arc<Self>) -> Result<StreamPermit, Exceeded> {
        let limit = self.allowed(|limits| limits.streams);
        self.acquire(&self.streams, limit, self.kind.streams())?;
        Ok(StreamPermit(Arc::clone(self)))
    }

    /// Charges a publish of `events` with `bytes` of data. One that exceeds a second's worth is permitted when nothing
    /// is owed, because it could never come otherwise, and later ones wait until it is paid back: 1 MiB at 64 KiB a
    /// second for 16 s.
    ///
    /// # Errors
    /// When this account must wait. Nothing is charged then.
    pub fn publish(&self, events: u32, bytes: u64) -> Result<(), Exceeded> {
        self.publish_as(None, events, bytes)
    }

    /// The same for this address with a token of `holder`: both are charged, or neither.
    ///
    /// # Errors
    /// When either must wait.
    pub fn publish_for(&self, holder: &Self, events: u32, bytes: u64) -> Result<(), Exceeded> {
        // All callers lock in this order, so there is no deadlock.
        debug_assert!(self.kind < holder.kind, "an address publishes for a holder");
        self.publish_as(Some(holder), events, bytes)
    }

    /// Whether [`Self::topic`] may refuse. If not, the caller need not find out which topics are new.
    #[must_use]
    pub fn limits_topics(&self) -> bool {
        self.allowed(|limits| limits.topics).is_some()
    }

    /// Charges the creation of a topic.
    ///
    /// # Errors
    /// When this holder must wait.
    pub fn topic(&self) -> Result<(), Exceeded> {
        let Some(limit) = self.allowed(|limits| limits.topics) else { return Ok(()) };
        let (rate, now) = (Rate::an_hour(limit), self.state.now());
        let mut buckets = self.buckets.lock();
        self.check_rate(buckets.topics, 1, rate, Limit::HolderTopics, now)?;
        buckets.topics.take(1, rate, now);
        Ok(())
    }

    /// Charges an invalid credential to this address.
    pub fn bad_credential(&self) {
        let Some(limit) = self.allowed(|limits| limits.bad_credentials) else { return };
        let (rate, now) = (Rate::a_second(limit), self.state.now());
        let mut buckets = self.buckets.lock();
        buckets.bad_credentials.take(1, rate, now);
        // Credentials that were checked concurrently do not add up to a longer wait.
        buckets.bad_credentials.cap_debt(rate, now);
    }

    /// Permits checking a credential from this address. Charges nothing: only invalid ones count.
    ///
    /// # Errors
    /// When too many recent ones were invalid.
    pub fn may_try_credential(&self) -> Result<(), Exceeded> {
        let Some(limit) = self.allowed(|limits| limits.bad_credentials) else { return Ok(()) };
        let bucket = self.buckets.lock().bad_credentials;
        self.check_rate(bucket, 1, Rate::a_second(limit), Limit::BadCredentials, self.state.now())
    }

    /// Adds `bytes` of memory. Returns all that it holds of this kind now.
    pub fn hold(&self, memory: HeldMemory, bytes: usize) -> usize {
        self.held[memory as usize].fetch_add(bytes, Relaxed) + bytes
    }

    /// Subtracts `bytes` of memory.
    pub fn release(&self, memory: HeldMemory, bytes: usize) {
        let before = self.held[memory as usize].fetch_sub(bytes, Relaxed);
        debug_assert!(before >= bytes, "only what is held is released");
    }

    /// Open connections.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// Open streams.
    #[must_use]
    pub fn streams(&self) -> u64 {
        self.streams.load(Relaxed)
    }

    /// Events published since the account was created.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events.load(Relaxed)
    }

    /// Bytes of their data.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// How often it reached a limit.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Whether it owes nothing, so that a new account would be equivalent. Permits hold a reference to the account.
    pub(super) fn is_settled(&self, now: Moment) -> bool {
        let Buckets { events, bytes, topics, runs, tokens, bad_credentials } = &*self.buckets.lock();
        [events, bytes, topics, runs, tokens, bad_credentials].iter().all(|bucket| bucket.is_full(now))
    }

    pub(super) fn allowed<T>(&self, of: impl FnOnce(&QuotaLimits) -> Option<T>) -> Option<T> {
        let config = self.state.config.load();
        of(match self.kind {
            AccountKind::Address => &config.address,
            AccountKind::Holder => &config.holder,
        })
    }

    pub(super) fn acquire(&self, open: &AtomicU64, limit: Option<u64>, what: Limit) -> Result<(), Exceeded> {
        let most = limit.unwrap_or(u64::MAX);
        match open.fetch_update(Relaxed, Relaxed, |count| (count < most).then_some(count + 1)) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.refuse(what, most, OPEN_WAIT)),
        }
    }

    fn publish_as(&self, holder: Option<&Self>, events: u32, bytes: u64) -> Result<(), Exceeded> {
        let rates = self.allowed(QuotaLimits::publish_rates);
        if rates.is_some() || holder.is_some_and(|holder| holder.allowed(QuotaLimits::publish_rates).is_some()) {
            self.charge(holder, events, bytes, self.state.now())?;
        }
        for account in [Some(self), holder].into_iter().flatten() {
            account.events.fetch_add(events.into(), Relaxed);
            account.bytes.fetch_add(bytes, Relaxed);
        }
        Ok(())
    }

    /// Checks all rates, then charges all.
    fn charge(&self, holder: Option<&Self>, events: u32, bytes: u64, now: Moment) -> Result<(), Exceeded> {
        let rates = self.allowed(QuotaLimits::publish_rates).unwrap_or_default();
        let mut buckets = self.buckets.lock();
        if let Some(rate) = rates.events {
            self.check_rate(buckets.events, events.into(), rate, self.kind.events(), now)?;
        }
        if let Some(rate) = rates.bytes {
            self.check_rate(buckets.bytes, bytes, rate, self.kind.bytes(), now)?;
        }
        if let Some(holder) = holder {
            holder.charge(None, events, bytes, now)?;
        }
        if let Some(rate) = rates.events {
            buckets.events.take(events.into(), rate, now);
        }
        if let Some(rate) = rates.bytes {
            buckets.bytes.take(bytes, rate, now);
        }
        Ok(())
    }

    pub(super) fn check_rate(
        &self,
        bucket: Bucket,
        n: u64,
        rate: Rate,
        what: Limit,
        now: Moment,
    ) -> Result<(), Exceeded> {
        let wait = bucket.wait(n, rate, now);
        if wait.is_zero() { Ok(()) } else { Err(self.refuse(what, rate.count.get().into(), wait)) }
    }

    fn refuse(&self, what: Limit, limit: u64, wait: Duration) -> Exceeded {
        self.refused.fetch_add(1, Relaxed);
        self.state.refused[what as usize].fetch_add(1, Relaxed);
        Exceeded { what, limit, wait, shared: self.shared }
    }
}

/// The rates of a publish.
#[derive(Default)]
struct PublishRates {
    events: Option<Rate>,
    bytes: Option<Rate>,
}

impl QuotaLimits {
    /// The rates of a publish; `None` when neither is limited, so that most hubs read no clock and take no lock.
    fn publish_rates(&self) -> Option<PublishRates> {
        let rate = |limit: Option<NonZeroU32>| limit.map(Rate::a_second);
        let (events, bytes) = (rate(self.events), rate(self.bytes));
        (events.is_some() || bytes.is_some()).then_some(PublishRates { events, bytes })
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

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        release(&self.0.connections);
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        release(&self.0.streams);
    }
}

/// Returns a permit.
pub(super) fn release(open: &AtomicU64) {
    let before = open.fetch_sub(1, Relaxed);
    debug_assert!(before > 0, "a permit counts until it is dropped");
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    #[test]
    fn without_limits_nobody_waits_for_a_lock() {
        let account = |kind| {
            let state = Arc::new(QuotaState::new(&QuotaConfig::default()));
            Arc::new(Account::new(kind, false, state))
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
            drop((address.connect(), address.stream(), holder.stream()));
            done.send(()).expect("somebody waits");
        });
        is_done.recv_timeout(Duration::from_secs(30)).expect("nothing was waited for");
    }
}
