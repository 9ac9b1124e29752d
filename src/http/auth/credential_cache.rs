//! Credentials that were valid, so that the next request with one costs a hash instead of a signature check.
//!
//! There are two levels: one of each core, without a lock, and one that all cores share, so that a valid credential is
//! accepted on whichever core the next connection arrives. The rules are the same for both:
//!
//! - **Key**: the SHA-256 of the credential, so that a long one takes no more memory than a short one.
//! - **Order**: the core's level first, then the shared one. What is found or checked is put into both.
//! - **Bound**: `CREDENTIALS` for each level; the least useful one is evicted. Only valid credentials are kept, so that
//!   invalid ones evict none.
//! - **Expiry**: an entry is not used once its credential has expired.
//! - **Generation**: an entry is good under the policy that admitted it. Under another one its principal is renewed,
//!   without a signature check; if the policy no longer trusts it, it counts as unknown. An entry of a newer policy is
//!   never replaced by one of an older policy, which a core may still use for a moment after a reload.
//! - **An unknown credential** costs a signature check. An address that has sent too many invalid ones must wait before
//!   the next one is checked, so that guessing costs the hub little. A credential that is found is not affected by that,
//!   also after a reload that still trusts it.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use aws_lc_rs::digest;
use parking_lot::Mutex;
use quick_cache::unsync::Cache;

use super::{
    authorization,
    policy::{Policies, Policy},
};
use crate::{access::Principal, http::message::problem::Problem, quota::Account};

/// Credentials of one level. Some 400 bytes each with a grant of a few patterns, so 2 MiB a core, and 2 MiB shared. A
/// client that rotates through more tokens than this pays for one signature check per request, 30 to 80 us
/// (`benches/access.rs`).
const CREDENTIALS: usize = 4096;

/// The cache of one core, and its copy of the policy.
#[derive(Debug)]
pub struct CredentialCache {
    policies: Arc<Policies>,
    policy: RefCell<Arc<Policy>>,
    generation: Cell<u64>,
    local: RefCell<CacheLevel>,
    shared: Arc<SharedLevel>,
}

/// The level of all cores. Used only for what a core does not have itself; that costs more than the lock.
#[derive(Debug)]
pub struct SharedLevel(Mutex<CacheLevel>);

/// The entries of one level, by the hash of the credential.
#[derive(Debug)]
struct CacheLevel(Cache<[u8; 32], CachedCredential>);

/// A credential that was valid.
#[derive(Debug, Clone)]
struct CachedCredential {
    /// The generation of the policy under which it was valid.
    generation: u64,
    /// Its principal under that policy.
    principal: Arc<Principal>,
}

impl Default for SharedLevel {
    fn default() -> Self {
        Self(Mutex::new(CacheLevel::new(CREDENTIALS)))
    }
}

impl CacheLevel {
    fn new(credentials: usize) -> Self {
        Self(Cache::new(credentials))
    }

    /// The entry of the credential with this hash, if it has not expired at `now`, in Unix seconds.
    fn find(&self, digest: &[u8; 32], now: u64) -> Option<&CachedCredential> {
        self.0.get(digest).filter(|cached| cached.principal.expires.is_none_or(|end| now < end))
    }

    /// Adds an entry, unless there is one of a newer policy.
    fn add(&mut self, digest: [u8; 32], cached: CachedCredential) {
        if self.0.get(&digest).is_none_or(|there| there.generation <= cached.generation) {
            self.0.insert(digest, cached);
        }
    }
}

impl CredentialCache {
    /// The cache of a core, over the level that it shares with the others.
    #[must_use]
    pub fn new(policies: Arc<Policies>, shared: Arc<SharedLevel>) -> Self {
        Self::with_capacity(policies, shared, CREDENTIALS)
    }

    fn with_capacity(policies: Arc<Policies>, shared: Arc<SharedLevel>, credentials: usize) -> Self {
        let generation = Cell::new(policies.generation());
        let (policy, local) = (policies.current().into(), CacheLevel::new(credentials).into());
        Self { policies, policy, generation, local, shared }
    }

    /// The current policy.
    pub fn policy(&self) -> Arc<Policy> {
        let now = self.policies.generation();
        if self.generation.replace(now) != now {
            self.policy.replace(self.policies.current());
        }
        Arc::clone(&self.policy.borrow())
    }

    /// The generation of [`Self::policy`].
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.get()
    }

    /// Authenticates `token` under [`Self::policy`] for a client whose address has the account `address`.
    ///
    /// # Errors
    /// Says why it is not valid; transient while the issuer's keys are being fetched;
    /// [`Exceeded`](crate::quota::Exceeded) as a problem when the address must wait.
    pub fn authenticate(&self, policy: &Policy, address: &Account, token: &[u8]) -> Result<Arc<Principal>, Problem> {
        let now = authorization::now();
        let digest = digest::digest(&digest::SHA256, token);
        let digest: [u8; 32] = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
        let generation = self.generation();
        let mut local = self.local.borrow_mut();
        let known = local.find(&digest, now);
        if let Some(cached) = known.filter(|cached| cached.generation == generation) {
            return Ok(Arc::clone(&cached.principal));
        }
        // The shared level before an outdated entry of this core: another core may have renewed it already.
        let known = self.shared.0.lock().find(&digest, now).or(known).cloned();
        let found = match known {
            Some(cached) if cached.generation == generation => Some(cached.principal),
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
                local.0.remove(&digest);
                address.bad_credential();
            })?
        };
        let cached = CachedCredential { generation, principal: Arc::clone(&principal) };
        self.shared.0.lock().add(digest, cached.clone());
        local.add(digest, cached);
        Ok(principal)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::{
        access::{Access, AccessSettings, Grant, settings::StaticToken},
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
        let policies = Arc::new(Policies::new(trusting(0..100)));
        let credentials = CredentialCache::with_capacity(policies, Arc::default(), 10);
        let client = address(1000);
        for _ in 0..2 {
            for name in 0..100 {
                let principal =
                    credentials.authenticate(&credentials.policy(), &client, token(name).0.as_bytes()).expect("good");
                assert_eq!(principal.holder, Some(name.to_string().into()));
            }
        }
        assert!(credentials.local.borrow().0.len() <= 10, "{}", credentials.local.borrow().0.len());
    }

    #[tokio::test(start_paused = true)]
    async fn bad_credentials_evict_no_good_one_and_are_soon_not_checked() {
        let policies = Arc::new(Policies::new(trusting(0..2)));
        let (credentials, client) = (CredentialCache::with_capacity(policies, Arc::default(), 10), address(5));
        let authenticate = |text: &str| credentials.authenticate(&credentials.policy(), &client, text.as_bytes());
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
        let policies = Arc::new(Policies::new(trusting(0..2)));
        let (credentials, client) = (CredentialCache::new(Arc::clone(&policies), Arc::default()), address(5));
        let authenticate = || credentials.authenticate(&credentials.policy(), &client, b"token-0");
        authenticate().expect("good");
        policies.replace(trusting(1..2));
        assert_eq!(authenticate().expect_err("gone").code, Code::Unauthorized);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_that_still_trusts_a_credential_serves_it_also_during_a_flood_of_bad_ones() {
        let policies = Arc::new(Policies::new(trusting(0..3)));
        let shared = Arc::<SharedLevel>::default();
        let core = || CredentialCache::new(Arc::clone(&policies), Arc::clone(&shared));
        let (here, elsewhere, client) = (core(), core(), address(5));
        let authenticate =
            |core: &CredentialCache, text: &str| core.authenticate(&core.policy(), &client, text.as_bytes());
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

    fn cached(generation: u64) -> CachedCredential {
        let principal = Arc::clone(Access::new(AccessSettings::default()).expect("sound").anonymous());
        CachedCredential { generation, principal }
    }

    #[test]
    fn an_entry_of_a_newer_policy_is_not_replaced_by_an_older_one() {
        let shared = SharedLevel::default();
        for (generation, then) in [(1, 1), (0, 1), (2, 2)] {
            let mut level = shared.0.lock();
            level.add([1; 32], cached(generation));
            assert_eq!(level.find(&[1; 32], 0).expect("cached").generation, then);
        }
        assert!(shared.0.lock().find(&[2; 32], 0).is_none());
    }

    #[test]
    fn the_shared_level_is_bounded() {
        let shared = SharedLevel::default();
        for n in 0..3 * CREDENTIALS as u64 {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&n.to_be_bytes());
            shared.0.lock().add(digest, cached(0));
        }
        assert!(shared.0.lock().0.len() <= CREDENTIALS);
    }

    #[test]
    fn an_expired_entry_of_either_level_is_not_found() {
        let mut principal = Principal::clone(&cached(0).principal);
        principal.expires = Some(10);
        let mut level = CacheLevel::new(10);
        level.add([1; 32], CachedCredential { generation: 0, principal: Arc::new(principal) });
        assert_eq!((level.find(&[1; 32], 9).is_some(), level.find(&[1; 32], 10).is_some()), (true, false));
    }
}
