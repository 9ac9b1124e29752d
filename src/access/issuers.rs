//! The trusted issuers of JWTs, each with its own keys.

use std::{path::Path, sync::Arc};

use aws_lc_rs::digest;
use jsonwebtoken::Algorithm;

use super::{
    Refusal, algorithms,
    claims::{self, Claims, ExpectedClaims},
    jwks::{
        JwksCache, Timing,
        fetch::{FetchConfig, Url},
    },
    jwt::Jwt,
    key_text,
    keys::VerificationKey,
    settings::{IssuerSettings, KeySource},
};

/// Most issuers: each one with keys at a URL has its own thread.
const MAX_ISSUERS: usize = 16;
/// Most signature verifications for one token, over all issuers. One takes up to 0.1 ms. A key rotation needs two or
/// three keys without a `kid`.
const MAX_CHECKS: usize = 8;
/// Largest key file, in bytes: the same as the largest fetched JWK set.
pub(crate) const MAX_FILE_BYTES: u64 = 256 << 10;

/// All trusted issuers, in the order of the configuration.
#[derive(Debug, Default)]
pub(super) struct Issuers(Vec<TrustedIssuer>);

#[derive(Debug)]
pub(super) struct TrustedIssuer {
    pub issuer: Box<str>,
    audience: Box<str>,
    algorithms: Vec<Algorithm>,
    keys: IssuerKeys,
}

#[derive(Debug)]
enum IssuerKeys {
    Configured(Arc<Vec<VerificationKey>>),
    Fetched(Arc<JwksCache>),
}

/// A token with a verified signature, and its claims.
pub(super) struct Verified<'i> {
    pub issuer: &'i TrustedIssuer,
    /// See [`TrustedIssuer::key_fingerprint`].
    pub key_fingerprint: [u8; 32],
    pub claims: Claims,
}

impl Issuers {
    /// Reads `issuers` and their files. Calls `report` for each mistake.
    pub(super) fn new(
        issuers: Vec<IssuerSettings>,
        timing: Timing,
        fetch_config: &FetchConfig,
        mut report: impl FnMut(String),
    ) -> Self {
        if issuers.len() > MAX_ISSUERS {
            report(format!("has {} issuers; at most {MAX_ISSUERS} are allowed", issuers.len()));
            return Self::default();
        }
        let mut all: Vec<TrustedIssuer> = Vec::new();
        for (index, issuer) in issuers.into_iter().enumerate() {
            let mut report = |problem: &str| report(format!("issuer {} ({:?}): {problem}", index + 1, issuer.issuer));
            if let Some(trusted) = TrustedIssuer::new(&issuer, timing, fetch_config, &mut report) {
                all.push(trusted);
            }
        }
        let issuers = Self(all);
        if let Some(name) = issuers.algorithm_with_too_many_unnamed_keys() {
            report(format!(
                "has more than {MAX_CHECKS} keys for {name} without a key ID, so that not all would be tried; name them in \
                 a JWK set (kid)"
            ));
        }
        issuers
    }

    /// An algorithm with more keys without a `kid` than [`MAX_CHECKS`].
    fn algorithm_with_too_many_unnamed_keys(&self) -> Option<&'static str> {
        let unnamed = |algorithm: &Algorithm| {
            let keys = self.0.iter().filter_map(|trusted| match &trusted.keys {
                IssuerKeys::Configured(keys) => Some(&**keys),
                IssuerKeys::Fetched(_) => None,
            });
            keys.flatten().filter(|key| key.id.is_none() && key.algorithms.contains(algorithm)).count()
        };
        let mut pinned = self.0.iter().flat_map(|trusted| &trusted.algorithms);
        pinned.find(|algorithm| unnamed(algorithm) > MAX_CHECKS).map(|algorithm| algorithms::name(*algorithm))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn all(&self) -> &[TrustedIssuer] {
        &self.0
    }

    /// Finds the key that signed `token`, and reads its claims.
    ///
    /// # Errors
    /// When no trusted key signed it, or when its claims name another issuer or audience than the key's.
    pub(super) fn verify(&self, token: &Jwt<'_>, leeway: u64, now: u64) -> Result<Verified<'_>, Refusal> {
        let pins =
            |trusted: &&TrustedIssuer| token.algorithm.is_some_and(|algorithm| trusted.algorithms.contains(&algorithm));
        let mine: Vec<(&TrustedIssuer, Arc<Vec<VerificationKey>>)> =
            self.0.iter().filter(pins).map(|trusted| (trusted, trusted.keys())).collect();
        let Some(algorithm) = token.algorithm.filter(|_| !mine.is_empty()) else {
            return Err(Refusal::Algorithm { accepted: self.accepted().into() });
        };
        let fits = |key: &&VerificationKey| key.algorithms.contains(&algorithm);
        let named = |key: &VerificationKey| key.id.is_some() && key.id.as_deref() == token.key_id.as_deref();
        let may_be = |key: &VerificationKey| key.id.is_none() || token.key_id.is_none();
        let of = |wants: &dyn Fn(&VerificationKey) -> bool| -> Vec<(&TrustedIssuer, &VerificationKey)> {
            let keys = mine.iter().flat_map(|(trusted, keys)| keys.iter().map(|key| (*trusted, key)));
            keys.filter(|(_, key)| fits(key) && wants(key)).collect()
        };
        // The key that the token names comes first, so that keys without a `kid` cannot use up the checks.
        let candidates = [of(&named), of(&may_be)].concat();

        let mut mismatch = None;
        for (issuer, key) in candidates.iter().take(MAX_CHECKS) {
            if !key.verifies(algorithm, token.message, token.signature) {
                continue;
            }
            let expected = ExpectedClaims { issuer: &issuer.issuer, audience: &issuer.audience, leeway, now };
            let claims = claims::read(&token.claims, &expected)?;
            if claims.match_expected() {
                return Ok(Verified { issuer, key_fingerprint: issuer.key_fingerprint(key, algorithm), claims });
            }
            // Two issuers may share a key, each with its own audience.
            mismatch = mismatch.or_else(|| claims.refusals.into_iter().next());
        }
        if let Some(refusal) = mismatch {
            return Err(refusal);
        }
        // Request a refresh from every issuer (no short circuit): any of them may have the key.
        let refreshing = mine.iter().filter(|(trusted, keys)| trusted.may_fetch_key(token, keys)).count() > 0;
        Err(match (refreshing, candidates.is_empty()) {
            (true, _) => Refusal::KeysUnavailable,
            (false, true) => Refusal::UnknownKey,
            (false, false) => Refusal::Signature,
        })
    }

    /// Whether an issuer still has the key with this fingerprint, for the same audience and algorithm. `None` while
    /// keys that could contain it are not fetched.
    pub(super) fn has_key(&self, key_fingerprint: &[u8; 32]) -> Option<bool> {
        let has = |trusted: &TrustedIssuer| {
            let matches = |key: &VerificationKey| {
                key.algorithms.iter().any(|algorithm| trusted.key_fingerprint(key, *algorithm) == *key_fingerprint)
            };
            trusted.keys().iter().any(matches)
        };
        if self.0.iter().any(has) {
            return Some(true);
        }
        let unknown =
            |trusted: &TrustedIssuer| matches!(&trusted.keys, IssuerKeys::Fetched(cache) if cache.keys().is_empty());
        if self.0.iter().any(unknown) { None } else { Some(false) }
    }

    fn accepted(&self) -> String {
        let mut names: Vec<_> =
            self.0.iter().flat_map(|trusted| &trusted.algorithms).map(|one| algorithms::name(*one)).collect();
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    }

    /// The caches of keys at URLs.
    pub(super) fn caches(&self) -> impl Iterator<Item = &Arc<JwksCache>> {
        self.0.iter().filter_map(|trusted| match &trusted.keys {
            IssuerKeys::Configured(_) => None,
            IssuerKeys::Fetched(cache) => Some(cache),
        })
    }

    /// Copies the fetched keys of the issuers that `older` has, too.
    pub(super) fn copy_fetched_keys(&self, older: &Self) {
        for trusted in &self.0 {
            let previous = older
                .0
                .iter()
                .find(|previous| (&previous.issuer, &previous.audience) == (&trusted.issuer, &trusted.audience));
            if let (IssuerKeys::Fetched(cache), Some(IssuerKeys::Fetched(old))) =
                (&trusted.keys, previous.map(|previous| &previous.keys))
            {
                cache.copy_fetched_keys(old);
            }
        }
    }
}

impl TrustedIssuer {
    fn new(
        issuer: &IssuerSettings,
        timing: Timing,
        fetch_config: &FetchConfig,
        report: &mut dyn FnMut(&str),
    ) -> Option<Self> {
        let mut valid = true;
        let pinned = algorithms::pinned(&issuer.algorithms, |problem| {
            valid = false;
            report(&problem);
        });
        if !valid {
            // Keys cannot be checked without the algorithms.
            return None;
        }
        let read = |text: &[u8]| key_text::read(text, &pinned).map(|keys| IssuerKeys::Configured(Arc::new(keys)));
        let (name, keys) = match &issuer.keys {
            KeySource::Inline(text) => ("key".to_owned(), read(text.as_bytes())),
            KeySource::File(path) => (path.display().to_string(), {
                let read_file = |path: &Path| super::read_file(path, MAX_FILE_BYTES).map_err(|problem| vec![problem]);
                match read_file(path) {
                    // The problem names the file already.
                    Err(problems) => {
                        for problem in problems {
                            report(&problem);
                        }
                        return None;
                    }
                    Ok(text) => read(&text),
                }
            }),
            KeySource::Jwks(_) if pinned.iter().any(|algorithm| algorithms::is_symmetric(*algorithm)) => {
                ("jwks".into(), Err(vec!["cannot deliver the secret that HS algorithms need; use key_file".into()]))
            }
            KeySource::Jwks(text) => (
                "jwks".into(),
                Url::new(text)
                    .map(|url| {
                        IssuerKeys::Fetched(Arc::new(JwksCache::new(url, &pinned, timing, fetch_config.clone())))
                    })
                    .map_err(|problem| vec![problem.into()]),
            ),
        };
        match keys {
            Ok(keys) => Some(Self {
                issuer: issuer.issuer.as_str().into(),
                audience: issuer.audience.as_str().into(),
                algorithms: pinned,
                keys,
            }),
            Err(problems) => {
                for problem in problems {
                    report(&format!("{name} {problem}"));
                }
                None
            }
        }
    }

    /// Its current keys.
    pub(super) fn keys(&self) -> Arc<Vec<VerificationKey>> {
        match &self.keys {
            IssuerKeys::Configured(keys) => Arc::clone(keys),
            IssuerKeys::Fetched(cache) => cache.keys(),
        }
    }

    /// The required claim `aud`.
    pub(super) fn audience(&self) -> &str {
        &self.audience
    }

    /// The algorithms that its tokens may be signed with.
    pub(super) fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// Whether its keys are fetched from a URL.
    pub(super) fn is_fetched(&self) -> bool {
        matches!(self.keys, IssuerKeys::Fetched(_))
    }

    /// Whether a refresh may bring the key of `token`: when its `kid` is not in `keys`, or when it has none. Requests a
    /// refresh.
    fn may_fetch_key(&self, token: &Jwt<'_>, keys: &[VerificationKey]) -> bool {
        let IssuerKeys::Fetched(cache) = &self.keys else { return false };
        let known = token.key_id.is_some() && keys.iter().any(|key| key.id.as_deref() == token.key_id.as_deref());
        !known && cache.request_refresh()
    }

    /// A hash of the key, the algorithm, the issuer and the audience. A principal keeps it; when any of the four is
    /// removed from the configuration, the principal is not valid any more.
    pub(super) fn key_fingerprint(&self, key: &VerificationKey, algorithm: Algorithm) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&key.fingerprint);
        context.update(&algorithms::name(algorithm).len().to_be_bytes());
        context.update(algorithms::name(algorithm).as_bytes());
        context.update(&(self.issuer.len() as u64).to_be_bytes());
        context.update(self.issuer.as_bytes());
        context.update(self.audience.as_bytes());
        context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}
