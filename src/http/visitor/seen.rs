//! Credentials that some core has found good, for the other cores: whoever was served is served on whichever core its next
//! connection comes to, also while its address sends bad ones.

use std::sync::Arc;

use parking_lot::Mutex;
use quick_cache::unsync::Cache;

use crate::access::Pass;

/// Credentials kept for all cores: as many as one of them keeps for itself, 2 MiB.
const CREDENTIALS: usize = super::passes::CREDENTIALS;

/// What was found good under one generation of the policy. Asked only about what a core does not know itself, which costs more
/// than its lock.
#[derive(Debug)]
pub struct Seen(Mutex<Good>);

#[derive(Debug)]
struct Good {
    generation: u64,
    passes: Cache<[u8; 32], Arc<Pass>>,
}

impl Default for Seen {
    fn default() -> Self {
        Self(Mutex::new(Good { generation: 0, passes: Cache::new(CREDENTIALS) }))
    }
}

impl Seen {
    /// What the credential of this hash opens, if it was found good under `generation`. It may have expired since.
    #[must_use]
    pub fn find(&self, generation: u64, digest: &[u8; 32]) -> Option<Arc<Pass>> {
        let good = self.0.lock();
        if good.generation == generation { good.passes.get(digest).cloned() } else { None }
    }

    /// Notes that it is good under `generation`. All of older ones is forgotten, and nothing of an older one noted.
    pub fn add(&self, generation: u64, digest: [u8; 32], pass: &Arc<Pass>) {
        let mut good = self.0.lock();
        if generation > good.generation {
            good.generation = generation;
            good.passes.clear();
        }
        if generation == good.generation {
            good.passes.insert(digest, Arc::clone(pass));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Access, Settings};

    #[test]
    fn what_was_good_counts_under_its_own_policy_only() {
        let (seen, pass) = (Seen::default(), Arc::clone(Access::new(Settings::default()).expect("sound").anonymous()));
        seen.add(1, [1; 32], &pass);
        assert!(seen.find(1, &[1; 32]).is_some());
        assert!(seen.find(0, &[1; 32]).is_none() && seen.find(2, &[1; 32]).is_none());
        seen.add(0, [2; 32], &pass);
        assert!(seen.find(0, &[2; 32]).is_none() && seen.find(1, &[2; 32]).is_none(), "what is old comes too late");
        seen.add(2, [3; 32], &pass);
        assert!(seen.find(2, &[1; 32]).is_none() && seen.find(2, &[3; 32]).is_some(), "a reload forgets the rest");
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        let (seen, pass) = (Seen::default(), Arc::clone(Access::new(Settings::default()).expect("sound").anonymous()));
        for n in 0..3 * CREDENTIALS as u64 {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&n.to_be_bytes());
            seen.add(0, digest, &pass);
        }
        assert!(seen.0.lock().passes.len() <= CREDENTIALS);
    }
}
