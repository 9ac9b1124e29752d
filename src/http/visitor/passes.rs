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
/// pays for a signature each time, 30 to 80 us (`benches/access.rs`).
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
        Self::with_room(policies, CREDENTIALS)
    }

    fn with_room(policies: &Policies, credentials: usize) -> Self {
        let generation = Cell::new(policies.generation());
        Self { policy: policies.current().into(), generation, good: Cache::new(credentials).into() }
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

    /// Judges `token`, which may have been found good before, here or on another core (`seen`), for a client whose address has
    /// the account `address`. A client that sent too many bad ones is told to wait before another one is looked at, so that
    /// guessing costs the hub little; those that were found good are served on.
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::{
        access::{Grant, Settings, settings::StaticToken},
        http::{
            problem::Code,
            quota::{Allowance, Allowances, Quotas},
            testing::policy,
        },
    };

    fn token(name: usize) -> (String, StaticToken) {
        let text = format!("token-{name}");
        let sha256 = digest::digest(&digest::SHA256, text.as_bytes()).as_ref().try_into().expect("32 bytes");
        (text, StaticToken { name: name.to_string(), sha256, grant: Grant::everything() })
    }

    fn trusting(tokens: std::ops::Range<usize>) -> Policy {
        policy(Settings { tokens: tokens.map(|name| token(name).1).collect(), ..Settings::default() })
    }

    fn address(bad_credentials: u32) -> Arc<Account> {
        let address = Allowance { bad_credentials: std::num::NonZeroU32::new(bad_credentials), ..Allowance::default() };
        Quotas::new(&Allowances { address, ..Allowances::default() }).address(Ipv4Addr::LOCALHOST.into())
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_credentials_are_kept_than_there_is_room_for_and_each_is_good_all_the_same() {
        let policies = Policies::new(trusting(0..100));
        let (passes, client) = (Passes::with_room(&policies, 10), address(1000));
        for _ in 0..2 {
            for name in 0..100 {
                let pass = passes
                    .judge(&passes.policy(&policies), policies.seen(), &client, token(name).0.as_bytes())
                    .expect("good");
                assert_eq!(pass.holder, Some(name.to_string().into()));
            }
        }
        assert!(passes.good.borrow().len() <= 10, "{}", passes.good.borrow().len());
    }

    #[tokio::test(start_paused = true)]
    async fn bad_credentials_push_out_no_good_one_and_stop_being_looked_at() {
        let policies = Policies::new(trusting(0..2));
        let (passes, client) = (Passes::with_room(&policies, 10), address(5));
        let judge = |text: &str| passes.judge(&passes.policy(&policies), policies.seen(), &client, text.as_bytes());
        judge("token-0").expect("good");
        for n in 0..100 {
            let code = judge(&format!("bad-{n}")).expect_err("bad").code;
            assert_eq!(code, if n < 5 { Code::Unauthorized } else { Code::RateLimited }, "{n}");
        }
        judge("token-0").expect("found good before");
        assert_eq!(judge("token-1").expect_err("not looked at").code, Code::RateLimited);
        tokio::time::advance(std::time::Duration::from_secs(2)).await;
        judge("token-1").expect("good");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_good_under_another_policy_is_judged_again() {
        let policies = Policies::new(trusting(0..2));
        let (passes, client) = (Passes::new(&policies), address(5));
        let judge = || passes.judge(&passes.policy(&policies), policies.seen(), &client, b"token-0");
        judge().expect("good");
        policies.replace(trusting(1..2));
        assert_eq!(judge().expect_err("gone").code, Code::Unauthorized);
    }
}
