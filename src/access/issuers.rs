//! Those whose JWTs are believed, each with keys of its own.

use std::{path::Path, sync::Arc};

use aws_lc_rs::digest;
use jsonwebtoken::Algorithm;

use super::{
    Refusal, algorithms,
    claims::{self, Claims, Wanted},
    jwks::{
        JwksCache, Timing,
        fetch::{FetchConfig, Url},
    },
    jwt::Jwt,
    key_text,
    keys::VerificationKey,
    settings::{IssuerSettings, KeySource},
};

/// Issuers at most: each with keys at a URL has a thread of its own.
const MAX_ISSUERS: usize = 16;
/// Signatures that are checked of one token at most, of all issuers together. One costs up to 0.1 ms; nobody rotates through
/// more keys that have no names.
const MAX_CHECKS: usize = 8;
/// Bytes of a file with keys at most, as many as are fetched.
pub(super) const MAX_FILE_BYTES: u64 = 256 << 10;

/// All of them, in the order of the configuration.
#[derive(Debug, Default)]
pub(super) struct Issuers(Vec<TrustedIssuer>);

/// One of them.
#[derive(Debug)]
pub(super) struct TrustedIssuer {
    pub issuer: Box<str>,
    audience: Box<str>,
    algorithms: Vec<Algorithm>,
    keys: IssuerKeys,
}

#[derive(Debug)]
enum IssuerKeys {
    Own(Arc<Vec<VerificationKey>>),
    Fetched(Arc<JwksCache>),
}

/// A token whose signature is good, and what it claims.
pub(super) struct Verified<'i> {
    pub by: &'i TrustedIssuer,
    /// The key and algorithm, for this issuer and audience.
    pub seal: [u8; 32],
    pub claims: Claims,
}

impl Issuers {
    /// Reads `issuers` and their files. Each mistake goes to `wrong`.
    pub(super) fn new(
        issuers: Vec<IssuerSettings>,
        timing: Timing,
        manner: &FetchConfig,
        mut wrong: impl FnMut(String),
    ) -> Self {
        if issuers.len() > MAX_ISSUERS {
            wrong(format!("has {} issuers; {MAX_ISSUERS} fit", issuers.len()));
            return Self::default();
        }
        let mut all: Vec<TrustedIssuer> = Vec::new();
        for (index, issuer) in issuers.into_iter().enumerate() {
            let mut wrong = |problem: &str| wrong(format!("issuer {} ({:?}): {problem}", index + 1, issuer.issuer));
            if let Some(trusted) = TrustedIssuer::new(&issuer, timing, manner, &mut wrong) {
                all.push(trusted);
            }
        }
        let issuers = Self(all);
        if let Some(name) = issuers.crowded() {
            wrong(format!(
                "has more than {MAX_CHECKS} keys for {name} that have no names, so that not all would be tried; name them in \
                 a JWK set (kid)"
            ));
        }
        issuers
    }

    /// The algorithm with more nameless keys than a token has tries.
    fn crowded(&self) -> Option<&'static str> {
        let nameless = |algorithm: &Algorithm| {
            let keys = self.0.iter().filter_map(|trusted| match &trusted.keys {
                IssuerKeys::Own(keys) => Some(&**keys),
                IssuerKeys::Fetched(_) => None,
            });
            keys.flatten().filter(|key| key.id.is_none() && key.algorithms.contains(algorithm)).count()
        };
        let mut pinned = self.0.iter().flat_map(|trusted| &trusted.algorithms);
        pinned.find(|algorithm| nameless(algorithm) > MAX_CHECKS).map(|algorithm| algorithms::name(*algorithm))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn all(&self) -> &[TrustedIssuer] {
        &self.0
    }

    /// Finds the key that has signed `token`, and reads what it claims.
    ///
    /// # Errors
    /// When no key here has, or its claims are for another issuer or audience than the key's.
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
        // The key that is named comes first, so that nameless ones cannot use up the tries.
        let candidates = [of(&named), of(&may_be)].concat();

        let mut others = None;
        for (by, key) in candidates.iter().take(MAX_CHECKS) {
            if !key.verifies(algorithm, token.message, token.signature) {
                continue;
            }
            let wanted = Wanted { issuer: &by.issuer, audience: &by.audience, leeway, now };
            let claims = claims::read(&token.claims, &wanted)?;
            if claims.are_ours() {
                return Ok(Verified { by, seal: by.seal(key, algorithm), claims });
            }
            // One key may be two issuers', each for an audience of its own.
            others = others.or_else(|| claims.wrong.into_iter().next());
        }
        if let Some(refusal) = others {
            return Err(refusal);
        }
        // All are asked: each may be the one.
        let waiting = mine.iter().filter(|(trusted, keys)| trusted.may_get(token, keys)).count() > 0;
        Err(match (waiting, candidates.is_empty()) {
            (true, _) => Refusal::KeysUnavailable,
            (false, true) => Refusal::UnknownKey,
            (false, false) => Refusal::Signature,
        })
    }

    /// Whether the key with this seal is still an issuer's, for the same audience and algorithm. `None` when that cannot be
    /// known yet.
    pub(super) fn still_has(&self, seal: &[u8; 32]) -> Option<bool> {
        let has = |trusted: &TrustedIssuer| {
            let sealed =
                |key: &VerificationKey| key.algorithms.iter().any(|algorithm| trusted.seal(key, *algorithm) == *seal);
            trusted.keys().iter().any(sealed)
        };
        if self.0.iter().any(has) {
            return Some(true);
        }
        let unknown =
            |trusted: &TrustedIssuer| matches!(&trusted.keys, IssuerKeys::Fetched(ring) if ring.keys().is_empty());
        if self.0.iter().any(unknown) { None } else { Some(false) }
    }

    fn accepted(&self) -> String {
        let mut names: Vec<_> =
            self.0.iter().flat_map(|trusted| &trusted.algorithms).map(|one| algorithms::name(*one)).collect();
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    }

    /// The keys that are fetched.
    pub(super) fn keyrings(&self) -> impl Iterator<Item = &Arc<JwksCache>> {
        self.0.iter().filter_map(|trusted| match &trusted.keys {
            IssuerKeys::Own(_) => None,
            IssuerKeys::Fetched(keyring) => Some(keyring),
        })
    }

    /// Takes the fetched keys of issuers that `older` has, too.
    pub(super) fn adopt(&self, older: &Self) {
        for trusted in &self.0 {
            let twin =
                older.0.iter().find(|twin| (&twin.issuer, &twin.audience) == (&trusted.issuer, &trusted.audience));
            if let (IssuerKeys::Fetched(ring), Some(IssuerKeys::Fetched(old))) =
                (&trusted.keys, twin.map(|twin| &twin.keys))
            {
                ring.adopt(old);
            }
        }
    }
}

impl TrustedIssuer {
    fn new(issuer: &IssuerSettings, timing: Timing, manner: &FetchConfig, wrong: &mut dyn FnMut(&str)) -> Option<Self> {
        let mut sound = true;
        let pinned = algorithms::pinned(&issuer.algorithms, |problem| {
            sound = false;
            wrong(&problem);
        });
        if !sound {
            // What the keys must be is not known.
            return None;
        }
        let read = |text: &[u8]| key_text::read(text, &pinned).map(|keys| IssuerKeys::Own(Arc::new(keys)));
        let (name, keys) = match &issuer.keys {
            KeySource::Inline(text) => ("key".to_owned(), read(text.as_bytes())),
            KeySource::File(path) => (path.display().to_string(), {
                let read_file = |path: &Path| super::read_file(path, MAX_FILE_BYTES).map_err(|problem| vec![problem]);
                match read_file(path) {
                    // Its own problem names it.
                    Err(problems) => {
                        for problem in problems {
                            wrong(&problem);
                        }
                        return None;
                    }
                    Ok(text) => read(&text),
                }
            }),
            KeySource::Jwks(_) if pinned.iter().any(|algorithm| algorithms::is_secret(*algorithm)) => {
                ("jwks".into(), Err(vec!["cannot give secrets, which HS needs; use key_file".into()]))
            }
            KeySource::Jwks(text) => (
                "jwks".into(),
                Url::new(text)
                    .map(|url| IssuerKeys::Fetched(Arc::new(JwksCache::new(url, &pinned, timing, manner.clone()))))
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
                    wrong(&format!("{name} {problem}"));
                }
                None
            }
        }
    }

    /// Its keys of now.
    pub(super) fn keys(&self) -> Arc<Vec<VerificationKey>> {
        match &self.keys {
            IssuerKeys::Own(keys) => Arc::clone(keys),
            IssuerKeys::Fetched(keyring) => keyring.keys(),
        }
    }

    /// What its tokens must claim to be for.
    pub(super) fn audience(&self) -> &str {
        &self.audience
    }

    /// What it may sign with.
    pub(super) fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// Whether its keys are fetched.
    pub(super) fn is_fetched(&self) -> bool {
        matches!(self.keys, IssuerKeys::Fetched(_))
    }

    /// Whether a key that `keys` have not may come: when the token names none of them, or none of all has signed it.
    fn may_get(&self, token: &Jwt<'_>, keys: &[VerificationKey]) -> bool {
        let IssuerKeys::Fetched(keyring) = &self.keys else { return false };
        let known = token.key_id.is_some() && keys.iter().any(|key| key.id.as_deref() == token.key_id.as_deref());
        !known && keyring.ask()
    }

    /// What a pass remembers of a key: gone with the key, its issuer, its audience, or the algorithm that was used.
    pub(super) fn seal(&self, key: &VerificationKey, algorithm: Algorithm) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&key.thumb);
        context.update(&algorithms::name(algorithm).len().to_be_bytes());
        context.update(algorithms::name(algorithm).as_bytes());
        context.update(&(self.issuer.len() as u64).to_be_bytes());
        context.update(self.issuer.as_bytes());
        context.update(self.audience.as_bytes());
        context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}
