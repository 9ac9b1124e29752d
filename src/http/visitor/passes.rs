//! Credentials that a core has found good, so that the next request with one costs a hash and no signature.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use aws_lc_rs::digest;
use quick_cache::unsync::Cache;

use super::{right, seen::Seen};
use crate::{
    access::Pass,
    http::{
        policy::{Policies, Policy},
        problem::Problem,
        quota::Account,
    },
};

/// Credentials kept a core. Some 400 bytes each with a grant of a few patterns, so 2 MiB a core; who goes round among more
/// pays for a signature each time, 20 to 60 us.
pub(super) const CREDENTIALS: usize = 4096;

/// The policy as this core last looked at it, and the credentials that were good under it. Bad ones are not kept, so that they
/// push out no good one.
#[derive(Debug)]
pub struct Passes {
    policy: RefCell<Arc<Policy>>,
    generation: Cell<u64>,
    /// By SHA-256, so that a long credential takes no more room than a short one.
    good: RefCell<Cache<[u8; 32], Arc<Pass>>>,
}

impl Passes {
    /// Knows no credential yet.
    #[must_use]
    pub fn new(policies: &Policies) -> Self {
        let generation = Cell::new(policies.generation());
        Self { policy: policies.current().into(), generation, good: Cache::new(CREDENTIALS).into() }
    }

    /// The policy in force. Forgets what was found under another one.
    pub fn policy(&self, policies: &Policies) -> Arc<Policy> {
        let now = policies.generation();
        if self.generation.replace(now) != now {
            self.policy.replace(policies.current());
            self.good.borrow_mut().clear();
        }
        Arc::clone(&self.policy.borrow())
    }

    /// The generation of [`Self::policy`].
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.get()
    }

    /// Judges `token`, which may have been found good before, here or on another core (`seen`), for a client whose address has the account `address`. A client
    /// that sent too many bad ones is told to wait before another one is looked at, so that guessing costs the hub little; those
    /// that were found good are served on.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn judge(&self, policy: &Policy, seen: &Seen, address: &Account, token: &[u8]) -> Result<Arc<Pass>, Problem> {
        let now = right::now();
        let digest = digest::digest(&digest::SHA256, token);
        let digest: &[u8; 32] = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
        let mut good = self.good.borrow_mut();
        let lasts = |pass: &Arc<Pass>| pass.expires.is_none_or(|end| now < end);
        if let Some(pass) = good.get(digest).filter(|pass| lasts(pass)) {
            return Ok(Arc::clone(pass));
        }
        if let Some(pass) = seen.find(self.generation(), digest).filter(lasts) {
            good.insert(*digest, Arc::clone(&pass));
            return Ok(pass);
        }
        address.may_try_credential()?;
        // Also one that nobody can judge yet: to find that out costs as much, and whoever invents keys must not be free.
        let pass = policy.access.judge(token, now).inspect_err(|_| address.bad_credential())?;
        good.insert(*digest, Arc::clone(&pass));
        seen.add(self.generation(), *digest, &pass);
        Ok(pass)
    }
}
