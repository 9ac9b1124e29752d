//! Credentials that a core has found good, so that the next request with one costs a hash and no signature.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use aws_lc_rs::digest;
use quick_cache::unsync::Cache;

use super::{authorization, shared_cache::SharedCredentialCache};
use crate::{
    access::Principal,
    http::{
        policy::{Policies, Policy},
        problem::Problem,
        quota::Account,
    },
};

/// Credentials cached per core. Some 400 bytes each with a grant of a few patterns, so 2 MiB a core. A client that rotates
/// through more tokens than this pays for one signature check per request, 30 to 80 us (`benches/access.rs`).
pub(super) const CREDENTIALS: usize = 4096;

/// The policy as this core last looked at it, and the credentials that were found good. Bad ones are not kept, so that they
/// push out no good one.
#[derive(Debug)]
pub struct CredentialCache {
    policy: RefCell<Arc<Policy>>,
    generation: Cell<u64>,
    /// By SHA-256, so that a long credential takes no more room than a short one.
    good: RefCell<Cache<[u8; 32], CachedCredential>>,
}

/// A credential that was found good.
#[derive(Debug, Clone)]
pub(super) struct CachedCredential {
    /// The generation of the policy that it was good under.
    pub generation: u64,
    /// What it opened under that policy.
    pub pass: Arc<Principal>,
}

impl CredentialCache {
    /// Knows no credential yet.
    #[must_use]
    pub fn new(policies: &Policies) -> Self {
        Self::with_room(policies, CREDENTIALS)
    }

    fn with_room(policies: &Policies, credentials: usize) -> Self {
        let generation = Cell::new(policies.generation());
        Self { policy: policies.current().into(), generation, good: Cache::new(credentials).into() }
    }

    /// The policy in force.
    pub fn policy(&self, policies: &Policies) -> Arc<Policy> {
        let now = policies.generation();
        if self.generation.replace(now) != now {
            self.policy.replace(policies.current());
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
    /// guessing costs the hub little. Those that were found good are served on, also after a reload that still trusts them.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn authenticate(
        &self,
        policy: &Policy,
        seen: &SharedCredentialCache,
        address: &Account,
        token: &[u8],
    ) -> Result<Arc<Principal>, Problem> {
        let now = authorization::now();
        let digest = digest::digest(&digest::SHA256, token);
        let digest: &[u8; 32] = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
        let mut good = self.good.borrow_mut();
        let generation = self.generation();
        let lasts = |known: &CachedCredential| known.pass.expires.is_none_or(|end| now < end);
        if let Some(known) = good.get(digest).filter(|known| known.generation == generation && lasts(known)) {
            return Ok(Arc::clone(&known.pass));
        }
        let found = match seen.find(digest).or_else(|| good.get(digest).cloned()).filter(lasts) {
            Some(known) if known.generation == generation => Some(known.pass),
            // Known from an earlier policy: the present one says whether it still counts, without a signature check.
            Some(known) => match policy.access.renew(&known.pass, now) {
                Ok(pass) => Some(pass),
                Err(refusal) if refusal.is_transient() => return Err(refusal.into()),
                // Another key or issuer of this policy may vouch for it.
                Err(_) => None,
            },
            None => None,
        };
        let pass = if let Some(pass) = found {
            pass
        } else {
            address.may_try_credential()?;
            // Charge this even when the issuer's keys are not loaded yet: otherwise inventing key ids would be a free
            // way to cost us work.
            policy.access.authenticate(token, now).inspect_err(|_| {
                good.remove(digest);
                address.bad_credential();
            })?
        };
        let known = CachedCredential { generation, pass: Arc::clone(&pass) };
        seen.add(*digest, &known);
        good.insert(*digest, known);
        Ok(pass)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::{
        access::{AccessSettings, Grant, settings::StaticToken},
        http::{
            problem::Code,
            quota::{QuotaConfig, QuotaLimits, Quotas},
            testing::policy,
        },
    };

    fn token(name: usize) -> (String, StaticToken) {
        let text = format!("token-{name}");
        let sha256 = digest::digest(&digest::SHA256, text.as_bytes()).as_ref().try_into().expect("32 bytes");
        (text, StaticToken { name: name.to_string(), sha256, grant: Grant::everything() })
    }

    fn trusting(tokens: std::ops::Range<usize>) -> Policy {
        policy(AccessSettings { tokens: tokens.map(|name| token(name).1).collect(), ..AccessSettings::default() })
    }

    fn address(bad_credentials: u32) -> Arc<Account> {
        let address =
            QuotaLimits { bad_credentials: std::num::NonZeroU32::new(bad_credentials), ..QuotaLimits::default() };
        Quotas::new(&QuotaConfig { address, ..QuotaConfig::default() }).address(Ipv4Addr::LOCALHOST.into())
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_credentials_are_kept_than_there_is_room_for_and_each_is_good_all_the_same() {
        let policies = Policies::new(trusting(0..100));
        let (credentials, client) = (CredentialCache::with_room(&policies, 10), address(1000));
        for _ in 0..2 {
            for name in 0..100 {
                let pass = credentials
                    .authenticate(&credentials.policy(&policies), policies.seen(), &client, token(name).0.as_bytes())
                    .expect("good");
                assert_eq!(pass.holder, Some(name.to_string().into()));
            }
        }
        assert!(credentials.good.borrow().len() <= 10, "{}", credentials.good.borrow().len());
    }

    #[tokio::test(start_paused = true)]
    async fn bad_credentials_push_out_no_good_one_and_stop_being_looked_at() {
        let policies = Policies::new(trusting(0..2));
        let (credentials, client) = (CredentialCache::with_room(&policies, 10), address(5));
        let authenticate = |text: &str| {
            credentials.authenticate(&credentials.policy(&policies), policies.seen(), &client, text.as_bytes())
        };
        authenticate("token-0").expect("good");
        for n in 0..100 {
            let code = authenticate(&format!("bad-{n}")).expect_err("bad").code;
            assert_eq!(code, if n < 5 { Code::Unauthorized } else { Code::RateLimited }, "{n}");
        }
        authenticate("token-0").expect("found good before");
        assert_eq!(authenticate("token-1").expect_err("not looked at").code, Code::RateLimited);
        tokio::time::advance(std::time::Duration::from_secs(2)).await;
        authenticate("token-1").expect("good");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_good_under_another_policy_is_judged_again() {
        let policies = Policies::new(trusting(0..2));
        let (credentials, client) = (CredentialCache::new(&policies), address(5));
        let authenticate =
            || credentials.authenticate(&credentials.policy(&policies), policies.seen(), &client, b"token-0");
        authenticate().expect("good");
        policies.replace(trusting(1..2));
        assert_eq!(authenticate().expect_err("gone").code, Code::Unauthorized);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_that_still_trusts_a_credential_serves_it_also_during_a_flood_of_bad_ones() {
        let policies = Policies::new(trusting(0..3));
        let (here, elsewhere, client) = (CredentialCache::new(&policies), CredentialCache::new(&policies), address(5));
        let authenticate = |shard: &CredentialCache, text: &str| {
            shard.authenticate(&shard.policy(&policies), policies.seen(), &client, text.as_bytes())
        };
        authenticate(&here, "token-0").expect("good");
        authenticate(&here, "token-1").expect("good");
        for n in 0..10 {
            authenticate(&here, &format!("bad-{n}")).expect_err("bad");
        }
        policies.replace(trusting(1..3));
        authenticate(&here, "token-1").expect("good before and after");
        authenticate(&elsewhere, "token-1").expect("on each core");
        assert_eq!(authenticate(&here, "token-0").expect_err("gone").code, Code::RateLimited);
        assert_eq!(authenticate(&here, "token-2").expect_err("never seen").code, Code::RateLimited);
    }
}
