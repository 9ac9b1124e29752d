//! Credentials that any core has authenticated, for the other cores: a valid credential is accepted on whichever core
//! the next connection arrives, also while its address must wait because of invalid ones.

use std::sync::Arc;

use parking_lot::Mutex;
use quick_cache::unsync::Cache;

use crate::access::Principal;

/// Credentials cached per core. Some 400 bytes each with a grant of a few patterns, so 2 MiB a core. A client that
/// rotates through more tokens than this pays for one signature check per request, 30 to 80 us (`benches/access.rs`).
pub(super) const CREDENTIALS: usize = 4096;

/// A credential that was valid.
#[derive(Debug, Clone)]
pub(super) struct CachedCredential {
    /// The generation of the policy under which it was valid.
    pub generation: u64,
    /// Its principal under that policy.
    pub principal: Arc<Principal>,
}

/// The credentials of all cores, as many as one core keeps by itself (2 MiB). Used only for what a core does not have
/// itself; that costs more than the lock.
#[derive(Debug)]
pub struct SharedCredentialCache(Mutex<Cache<[u8; 32], CachedCredential>>);

impl Default for SharedCredentialCache {
    fn default() -> Self {
        Self(Mutex::new(Cache::new(CREDENTIALS)))
    }
}

impl SharedCredentialCache {
    /// The entry of the credential with this hash. It may have expired, and its policy may be outdated.
    #[must_use]
    pub(super) fn find(&self, digest: &[u8; 32]) -> Option<CachedCredential> {
        self.0.lock().get(digest).cloned()
    }

    /// Adds an entry, unless there is one of a newer policy.
    pub(super) fn add(&self, digest: [u8; 32], cached: &CachedCredential) {
        let mut good = self.0.lock();
        if good.get(&digest).is_none_or(|there| there.generation <= cached.generation) {
            good.insert(digest, cached.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Access, AccessSettings};

    fn cached(generation: u64) -> CachedCredential {
        let principal = Arc::clone(Access::new(AccessSettings::default()).expect("sound").anonymous());
        CachedCredential { generation, principal }
    }

    #[test]
    fn an_entry_of_a_newer_policy_is_not_replaced_by_an_older_one() {
        let shared_cache = SharedCredentialCache::default();
        for (generation, then) in [(1, 1), (0, 1), (2, 2)] {
            shared_cache.add([1; 32], &cached(generation));
            assert_eq!(shared_cache.find(&[1; 32]).expect("cached").generation, then);
        }
        assert!(shared_cache.find(&[2; 32]).is_none());
    }

    #[test]
    fn the_cache_is_bounded() {
        let shared_cache = SharedCredentialCache::default();
        for n in 0..3 * CREDENTIALS as u64 {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&n.to_be_bytes());
            shared_cache.add(digest, &cached(0));
        }
        assert!(shared_cache.0.lock().len() <= CREDENTIALS);
    }
}
