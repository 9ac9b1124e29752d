//! The settings that a reload can change, shared by all cores.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwap;

use super::{cors::Cors, credential::CredentialSources, forwarded::Proxies};
use crate::access::Access;

/// Credentials, origins and proxies that the hub trusts. Immutable: a reload replaces it.
#[derive(Debug)]
pub struct Policy {
    /// Authentication and grants.
    pub access: Access,
    /// Where a request may carry a credential.
    pub places: CredentialSources,
    /// Cross-origin requests.
    pub cors: Cors,
    /// Whether the hub accepts only `Host` names of the loopback.
    pub loopback_names: bool,
    /// The proxies whose forwarding headers are trusted.
    pub proxies: Proxies,
}

/// The policy in force.
#[derive(Debug)]
pub struct Policies {
    current: ArcSwap<Policy>,
    generation: AtomicU64,
}

impl Policies {
    /// Puts `policy` in force, as generation 0.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { current: ArcSwap::from_pointee(policy), generation: AtomicU64::new(0) }
    }

    /// The policy in force.
    #[must_use]
    pub fn current(&self) -> Arc<Policy> {
        self.current.load_full()
    }

    /// The number of changes so far. What was authenticated under an older generation must be checked again.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Puts `policy` in force.
    pub fn replace(&self, policy: Policy) {
        self.current.store(Arc::new(policy));
        self.invalidate();
    }

    /// Starts a new generation of the same policy: an issuer's keys have changed.
    pub fn invalidate(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }
}
