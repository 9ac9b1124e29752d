//! Limits of one client address, and of one holder of a token: connections, streams, publishes, topics, runs.
//!
//! | module | idea |
//! |---|---|
//! | this file | [`Quotas`]: all accounts, by address or holder |
//! | [`account`] | one account: what is open, what was used |
//! | [`runs`] | of an account, what the relay takes |
//! | [`config`] | the configured limits |
//! | [`exceeded`] | the error: which limit, and how long to wait |
//! | [`memory`] | the memory of all request bodies, and each client's share |
//! | `bucket` | a rate limiter |
//! | `table` | accounts by key, bounded in number |

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

pub mod account;
mod bucket;
pub mod config;
pub mod exceeded;
pub mod memory;
pub mod runs;
mod table;
#[cfg(test)]
mod tests;

pub use self::{
    account::{Account, ConnectionPermit, StreamPermit},
    config::{QuotaConfig, QuotaLimits},
    exceeded::{Exceeded, Limit},
    runs::RunPermit,
};
use account::{AccountKind, QuotaState};
use table::AccountTable;

/// Accounts of addresses at most: 18 MB (an account has 160 bytes, its table entry 33 to 75, measured), a multiple of
/// the connections that one machine serves. Networks of 64 bits are cheap: the owner of a /32 could fill any table.
const ADDRESSES: usize = 100_000;

/// Accounts of holders at most: 10,000 with names of at most 128 bytes take 4 MB. Unlike addresses, idle ones are kept
/// for their totals, and only an operator's issuers create new ones.
const HOLDERS: usize = 10_000;

/// All accounts, shared by all cores.
#[derive(Debug)]
pub struct Quotas {
    state: Arc<QuotaState>,
    addresses: AccountTable<IpAddr>,
    holders: AccountTable<Box<str>>,
    /// Idle holders that are kept: half of the table, so that there is always space for new ones.
    kept: usize,
}

/// The usage of a holder since its account was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HolderUsage {
    /// Its name.
    pub holder: Box<str>,
    /// Open streams.
    pub streams: u64,
    /// Events published.
    pub events: u64,
    /// Bytes of their data.
    pub bytes: u64,
    /// How often it reached a limit.
    pub refused: u64,
}

impl Quotas {
    /// No accounts, and the limits of `config`.
    #[must_use]
    pub fn new(config: &QuotaConfig) -> Self {
        Self::with_capacity(config, ADDRESSES, HOLDERS)
    }

    /// The same with other bounds on the number of accounts.
    #[must_use]
    pub fn with_capacity(config: &QuotaConfig, addresses: usize, holders: usize) -> Self {
        let state = Arc::new(QuotaState::new(config));
        Self {
            addresses: AccountTable::new(AccountKind::Address, addresses, &state),
            holders: AccountTable::new(AccountKind::Holder, holders, &state),
            kept: holders / 2,
            state,
        }
    }

    /// Changes the limits. What is open stays open, also beyond a new limit.
    pub fn configure(&self, config: &QuotaConfig) {
        self.state.configure(config);
    }

    /// The account of an address. IPv6 addresses count by their first 64 bits: the client chooses the rest (RFC 4291,
    /// section 2.5.1).
    ///
    /// When the table is full, new addresses share one account.
    #[must_use]
    pub fn address(&self, address: IpAddr) -> Arc<Account> {
        let network = network(address);
        self.addresses.get(&network, || network)
    }

    /// The account of a holder, by the name in its [`Principal`](crate::access::Principal). When the table is full, new
    /// holders share one.
    #[must_use]
    pub fn holder(&self, name: &str) -> Arc<Account> {
        self.holders.get(name, || name.into())
    }

    /// Removes idle accounts; of the addresses an eighth at a time. To be called about once a second. The tables are
    /// bounded without it, too.
    pub fn sweep(&self) {
        let now = self.state.now();
        self.addresses.sweep(now);
        self.holders.sweep_beyond(self.kept, now);
    }

    /// The number of addresses with an account.
    #[must_use]
    pub fn addresses(&self) -> usize {
        self.addresses.len()
    }

    /// The number of holders with an account.
    #[must_use]
    pub fn holders(&self) -> usize {
        self.holders.len()
    }

    /// The holders with the most events, then with the most streams, in this order.
    #[must_use]
    pub fn busiest(&self, count: usize) -> Vec<HolderUsage> {
        let rank = |account: &Account| (account.events(), account.streams());
        let mut busiest = self.holders.highest(count, rank, |name, account| HolderUsage {
            holder: name.clone(),
            streams: account.streams(),
            events: account.events(),
            bytes: account.bytes(),
            refused: account.refused(),
        });
        busiest.sort_unstable_by(|a, b| {
            (b.events, b.streams).cmp(&(a.events, a.streams)).then_with(|| a.holder.cmp(&b.holder))
        });
        busiest
    }

    /// How often a limit was reached.
    #[must_use]
    pub fn refused(&self, limit: Limit) -> u64 {
        self.state.refused(limit)
    }
}

/// The key of a client's share in storage that outlives accounts, such as idempotency keys: a hash of its holder, else
/// of its address. The same after a restart, and never 0.
#[must_use]
pub fn owner(holder: Option<&str>, address: IpAddr) -> u64 {
    let mut hash = DefaultHasher::new(); // has no random seed
    match holder {
        Some(holder) => holder.hash(&mut hash),
        None => network(address).hash(&mut hash),
    }
    hash.finish().max(1)
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}
