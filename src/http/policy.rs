//! What a reload may change, in one place that all cores look at.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwap;

use super::{
    auth::{credential::CredentialSources, shared_cache::SharedCredentialCache},
    cors::Cors,
    forwarded::Proxies,
};
use crate::access::Access;

/// Whom the hub trusts, and with how much. Never changes: a reload makes another one.
#[derive(Debug)]
pub struct Policy {
    /// Credentials.
    pub access: Access,
    /// Where a request may carry one.
    pub places: CredentialSources,
    /// Pages of other sites.
    pub cors: Cors,
    /// Whether the hub answers to the loopback's names only.
    pub loopback_names: bool,
    /// Who may say whom a request comes from.
    pub proxies: Proxies,
}

/// The policy in force.
#[derive(Debug)]
pub struct Policies {
    current: ArcSwap<Policy>,
    generation: AtomicU64,
    seen: SharedCredentialCache,
}

impl Policies {
    /// Begins with `policy`.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            current: ArcSwap::from_pointee(policy),
            generation: AtomicU64::new(0),
            seen: SharedCredentialCache::default(),
        }
    }

    /// The policy in force.
    #[must_use]
    pub fn current(&self) -> Arc<Policy> {
        self.current.load_full()
    }

    /// Counts the changes: what was judged under an older generation is to be judged again.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The credentials that some core has found good.
    #[must_use]
    pub fn seen(&self) -> &SharedCredentialCache {
        &self.seen
    }

    /// Puts `policy` in force.
    pub fn replace(&self, policy: Policy) {
        self.current.store(Arc::new(policy));
        self.judge_again();
    }

    /// What the policy says has changed: an issuer has other keys.
    pub fn judge_again(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }
}
