//! What one client address, and one holder of a token, may have: connections, streams, publishes, topics.
//!
//! | room | idea |
//! |---|---|
//! | this file | [`Quotas`]: all accounts, found by address or holder |
//! | [`account`] | what one has open and has used |
//! | [`config`] | what one may have |
//! | [`exceeded`] | which limit was met, and how long to wait |
//! | `bucket` | a rate |
//! | `table` | accounts by key, with a bound |

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

pub mod account;
mod bucket;
pub mod config;
pub mod exceeded;
mod table;
#[cfg(test)]
mod tests;

pub use self::{
    account::{Account, OpenPermit},
    config::{QuotaConfig, QuotaLimits},
    exceeded::{Exceeded, Limit},
};
use account::{AccountKind, Common};
use table::AccountTable;

/// Addresses told apart at most: 15 MB (measured; an account has 128 bytes, its place in the table 33 to 75), for some
/// times as many as there can be connections by default. Networks of 64 bits are cheap: who has a /32 of them could fill
/// any table.
const ADDRESSES: usize = 100_000;

/// Holders told apart at most: 10,000 accounts with names of at most 128 bytes are 4 MB. Unlike addresses, they are
/// remembered for their sums, and only an operator's issuers make new ones.
const HOLDERS: usize = 10_000;

/// What everybody has open and has used, on all cores.
#[derive(Debug)]
pub struct Quotas {
    common: Arc<Common>,
    addresses: AccountTable<IpAddr>,
    holders: AccountTable<Box<str>>,
    /// Holders remembered while they are idle. Half of the room, so that newcomers find some at any second.
    kept: usize,
}

/// What a holder has open and has used since it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HolderUsage {
    /// Its name.
    pub holder: Box<str>,
    /// Streams it has open.
    pub streams: u64,
    /// Events it has published.
    pub events: u64,
    /// Bytes of their data.
    pub bytes: u64,
    /// How often it met a limit.
    pub refused: u64,
}

impl Quotas {
    /// Nobody has anything yet, and may have what `allowances` say.
    #[must_use]
    pub fn new(allowances: &QuotaConfig) -> Self {
        Self::with_room(allowances, ADDRESSES, HOLDERS)
    }

    /// The same with room for fewer, or more.
    #[must_use]
    pub fn with_room(allowances: &QuotaConfig, addresses: usize, holders: usize) -> Self {
        let common = Arc::new(Common::new(allowances));
        Self {
            addresses: AccountTable::new(AccountKind::Address, addresses, &common),
            holders: AccountTable::new(AccountKind::Holder, holders, &common),
            kept: holders / 2,
            common,
        }
    }

    /// Puts other allowances in force, also for those who have something open: they keep it.
    pub fn configure(&self, allowances: &QuotaConfig) {
        self.common.configure(allowances);
    }

    /// The account of an address. IPv6 goes by its first 64 bits: the others are the client's to choose (RFC 4291,
    /// section 2.5.1).
    ///
    /// Everybody gets one. When there is no room, it is shared by all who come then.
    #[must_use]
    pub fn address(&self, address: IpAddr) -> Arc<Account> {
        let network = network(address);
        self.addresses.get(&network, || network)
    }

    /// The account of a holder, by the name in its [`Principal`](crate::access::Principal). When there is no room, it is shared.
    #[must_use]
    pub fn holder(&self, name: &str) -> Arc<Account> {
        self.holders.get(name, || name.into())
    }

    /// Forgets who is idle: of the addresses an eighth at a time. To be called about once a second; in between, the tables
    /// have their bounds.
    pub fn sweep(&self) {
        let now = self.common.now();
        self.addresses.sweep(now);
        self.holders.sweep_beyond(self.kept, now);
    }

    /// Addresses that are told apart.
    #[must_use]
    pub fn addresses(&self) -> usize {
        self.addresses.len()
    }

    /// Holders that are told apart.
    #[must_use]
    pub fn holders(&self) -> usize {
        self.holders.len()
    }

    /// The holders with most events, then with most streams; the most first.
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

    /// How often a limit was met.
    #[must_use]
    pub fn refused(&self, limit: Limit) -> u64 {
        self.common.refused(limit)
    }
}

/// Whose share of a memory that outlives accounts, as that for idempotency keys does, a client uses: its holder's, else its
/// address's. The same after a restart, and never 0.
#[must_use]
pub fn owner(holder: Option<&str>, address: IpAddr) -> u64 {
    let mut hash = DefaultHasher::new(); // without a random seed
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
