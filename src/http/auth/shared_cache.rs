//! Credentials that some core has found good, for the other cores: whoever was served is served on whichever core its next
//! connection comes to, also while its address sends bad ones.

use parking_lot::Mutex;
use quick_cache::unsync::Cache;

use super::credential_cache::{CREDENTIALS, CachedCredential};

/// What was found good by any core, as many as one of them keeps for itself (2 MiB). Asked only about what a core does not know
/// itself, which costs more than its lock.
#[derive(Debug)]
pub struct SharedCredentialCache(Mutex<Cache<[u8; 32], CachedCredential>>);

impl Default for SharedCredentialCache {
    fn default() -> Self {
        Self(Mutex::new(Cache::new(CREDENTIALS)))
    }
}

impl SharedCredentialCache {
    /// What is known of the credential with this hash. It may have expired since, and the policy may be another.
    #[must_use]
    pub(super) fn find(&self, digest: &[u8; 32]) -> Option<CachedCredential> {
        self.0.lock().get(digest).cloned()
    }

    /// Notes what was found, unless another core has found something under a newer policy.
    pub(super) fn add(&self, digest: [u8; 32], known: &CachedCredential) {
        let mut good = self.0.lock();
        if good.get(&digest).is_none_or(|there| there.generation <= known.generation) {
            good.insert(digest, known.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::access::{Access, AccessSettings};

    fn known(generation: u64) -> CachedCredential {
        let pass = Arc::clone(Access::new(AccessSettings::default()).expect("sound").anonymous());
        CachedCredential { generation, pass }
    }

    #[test]
    fn what_was_found_under_a_newer_policy_is_not_replaced_by_an_older_finding() {
        let seen = SharedCredentialCache::default();
        for (generation, then) in [(1, 1), (0, 1), (2, 2)] {
            seen.add([1; 32], &known(generation));
            assert_eq!(seen.find(&[1; 32]).expect("known").generation, then);
        }
        assert!(seen.find(&[2; 32]).is_none());
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        let seen = SharedCredentialCache::default();
        for n in 0..3 * CREDENTIALS as u64 {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&n.to_be_bytes());
            seen.add(digest, &known(0));
        }
        assert!(seen.0.lock().len() <= CREDENTIALS);
    }
}
