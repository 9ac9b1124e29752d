//! Credentials that a core has authenticated, so that the next request with one costs a hash instead of a signature
//! check.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use aws_lc_rs::digest;
use quick_cache::unsync::Cache;

use super::{
    authorization,
    policy::{Policies, Policy},
    shared_cache::{CREDENTIALS, CachedCredential, SharedCredentialCache},
};
use crate::{access::Principal, http::message::problem::Problem, quota::Account};

/// This core's copy of the policy, and the credentials that were valid under it. Invalid ones are not kept, so that
/// they cannot evict valid ones.
#[derive(Debug)]
pub struct CredentialCache {
    policy: RefCell<Arc<Policy>>,
    generation: Cell<u64>,
    /// By SHA-256, so that a long credential takes no more memory than a short one.
    good: RefCell<Cache<[u8; 32], CachedCredential>>,
}

impl CredentialCache {
    /// An empty cache.
    #[must_use]
    pub fn new(policies: &Policies) -> Self {
        Self::with_capacity(policies, CREDENTIALS)
    }

    fn with_capacity(policies: &Policies, credentials: usize) -> Self {
        let generation = Cell::new(policies.generation());
        Self { policy: policies.current().into(), generation, good: Cache::new(credentials).into() }
    }

    /// The current policy.
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

    /// Authenticates `token` for a client whose address has the account `address`. Looks into this cache first, then
    /// into that of all cores (`shared_cache`). After too many invalid tokens an address must wait before another
    /// unknown one is checked, so that guessing costs the hub little. Cached tokens are not affected, also after a
    /// reload that still trusts them.
    ///
    /// # Errors
    /// Says why it is not valid; transient while the issuer's keys are being fetched;
    /// [`Exceeded`](crate::quota::Exceeded) as a problem when the address must wait.
    pub fn authenticate(
        &self,
        policy: &Policy,
        shared_cache: &SharedCredentialCache,
        address: &Account,
        token: &[u8],
    ) -> Result<Arc<Principal>, Problem> {
        let now = authorization::now();
        let digest = digest::digest(&digest::SHA256, token);
        let digest: &[u8; 32] = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
        let mut good = self.good.borrow_mut();
        let generation = self.generation();
        let lasts = |cached: &CachedCredential| cached.principal.expires.is_none_or(|end| now < end);
        if let Some(cached) = good.get(digest).filter(|cached| cached.generation == generation && lasts(cached)) {
            return Ok(Arc::clone(&cached.principal));
        }
        let found = match shared_cache.find(digest).or_else(|| good.get(digest).cloned()).filter(lasts) {
            Some(cached) if cached.generation == generation => Some(cached.principal),
            // Valid under an earlier policy: the current one decides without a signature check.
            Some(cached) => match policy.access.renew(&cached.principal, now) {
                Ok(principal) => Some(principal),
                Err(refusal) if refusal.is_transient() => return Err(refusal.into()),
                // Another key or issuer of this policy may have signed it.
                Err(_) => None,
            },
            None => None,
        };
        let principal = if let Some(principal) = found {
            principal
        } else {
            address.may_try_credential()?;
            // Charge this even when the issuer's keys are not loaded yet: otherwise inventing key ids would be a free
            // way to cost us work.
            policy.access.authenticate(token, now).inspect_err(|_| {
                good.remove(digest);
                address.bad_credential();
            })?
        };
        let cached = CachedCredential { generation, principal: Arc::clone(&principal) };
        shared_cache.add(*digest, &cached);
        good.insert(*digest, cached);
        Ok(principal)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::{
        access::{AccessSettings, Grant, settings::StaticToken},
        http::{message::problem::Code, testing::policy},
        quota::{QuotaConfig, QuotaLimits, Quotas},
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
    async fn the_cache_is_bounded_and_an_evicted_credential_is_still_good() {
        let policies = Policies::new(trusting(0..100));
        let (credentials, client) = (CredentialCache::with_capacity(&policies, 10), address(1000));
        for _ in 0..2 {
            for name in 0..100 {
                let principal = credentials
                    .authenticate(
                        &credentials.policy(&policies),
                        policies.shared_cache(),
                        &client,
                        token(name).0.as_bytes(),
                    )
                    .expect("good");
                assert_eq!(principal.holder, Some(name.to_string().into()));
            }
        }
        assert!(credentials.good.borrow().len() <= 10, "{}", credentials.good.borrow().len());
    }

    #[tokio::test(start_paused = true)]
    async fn bad_credentials_evict_no_good_one_and_are_soon_not_checked() {
        let policies = Policies::new(trusting(0..2));
        let (credentials, client) = (CredentialCache::with_capacity(&policies, 10), address(5));
        let authenticate = |text: &str| {
            credentials.authenticate(&credentials.policy(&policies), policies.shared_cache(), &client, text.as_bytes())
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
    async fn a_credential_of_another_policy_is_checked_again() {
        let policies = Policies::new(trusting(0..2));
        let (credentials, client) = (CredentialCache::new(&policies), address(5));
        let authenticate =
            || credentials.authenticate(&credentials.policy(&policies), policies.shared_cache(), &client, b"token-0");
        authenticate().expect("good");
        policies.replace(trusting(1..2));
        assert_eq!(authenticate().expect_err("gone").code, Code::Unauthorized);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_that_still_trusts_a_credential_serves_it_also_during_a_flood_of_bad_ones() {
        let policies = Policies::new(trusting(0..3));
        let (here, elsewhere, client) = (CredentialCache::new(&policies), CredentialCache::new(&policies), address(5));
        let authenticate = |shard: &CredentialCache, text: &str| {
            shard.authenticate(&shard.policy(&policies), policies.shared_cache(), &client, text.as_bytes())
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
