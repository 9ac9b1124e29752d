//! Creates tokens: JWTs signed with a configured key, and random static tokens.

use std::path::Path;

use aws_lc_rs::rand;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value, json};

use super::{
    Grant, algorithms,
    issuers::{Issuers, MAX_FILE_BYTES},
    jwks::{Timing, fetch::FetchConfig},
    key_text,
    keys::VerificationKey,
    settings::AccessSettings,
};

/// Signs JWTs of one issuer.
#[derive(Debug)]
pub struct Mint {
    issuer: Box<str>,
    audience: Box<str>,
    algorithm: Algorithm,
    key: VerificationKey,
}

/// Random bytes of a static token: as many as its SHA-256 hash has.
const RANDOM_BYTES: usize = 32;

impl Mint {
    /// Signs for the issuer named `issuer`, or for the first in the settings with a key that can sign. `key` is a file
    /// with its private key, for when the settings contain only the public one.
    ///
    /// # Errors
    /// Why there is no key to sign with, and what to configure.
    pub fn new(settings: &AccessSettings, issuer: Option<&str>, key: Option<&Path>) -> Result<Self, String> {
        let mut problems = Vec::new();
        let issuers = Issuers::new(settings.issuers.clone(), Timing::default(), &FetchConfig::default(), |problem| {
            problems.push(problem);
        });
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }
        if issuers.is_empty() {
            return Err(format!("no issuer is configured; {EXAMPLE}"));
        }
        let named = issuers.all().iter().filter(|trusted| issuer.is_none_or(|name| *trusted.issuer == *name));
        let named: Vec<_> = named.collect();
        if named.is_empty() {
            let known: Vec<String> = issuers.all().iter().map(|trusted| format!("{:?}", trusted.issuer)).collect();
            return Err(format!(
                "no issuer is named {:?}; the configured ones are {}",
                issuer.unwrap_or_default(),
                known.join(", ")
            ));
        }
        let Some(path) = key else {
            let signer = named.iter().find_map(|trusted| {
                let key = trusted.keys().iter().find(|key| key.can_sign()).cloned()?;
                Some((trusted, key))
            });
            let (trusted, key) = signer.ok_or_else(|| {
                format!("no configured issuer has a secret or a private key; give one with --key-file, or {EXAMPLE}")
            })?;
            return Ok(Self::with(&trusted.issuer, trusted.audience(), key));
        };
        let text = super::read_file(path, MAX_FILE_BYTES)?;
        let mut problem = format!("{} has no key that can sign; give a private key", path.display());
        for trusted in named {
            let keys = match key_text::read(&text, trusted.algorithms()) {
                Ok(keys) => keys,
                Err(problems) => {
                    problem = format!("{} {}", path.display(), problems.join("; "));
                    continue;
                }
            };
            let Some(mut key) = keys.into_iter().find(VerificationKey::can_sign) else { continue };
            let known = trusted.keys();
            match known.iter().find(|known| known.fingerprint == key.fingerprint) {
                Some(known) => key.id.clone_from(&known.id),
                None if trusted.is_fetched() => {}
                None => {
                    problem = format!(
                        "{} has a key that is not configured for {:?}, so its tokens would be refused",
                        path.display(),
                        trusted.issuer
                    );
                    continue;
                }
            }
            return Ok(Self::with(&trusted.issuer, trusted.audience(), key));
        }
        Err(problem)
    }

    fn with(issuer: &str, audience: &str, key: VerificationKey) -> Self {
        Self { issuer: issuer.into(), audience: audience.into(), algorithm: key.algorithms[0], key }
    }

    /// A JWT with `grant`, issued at `now` (seconds since 1970), that expires `ttl` seconds later.
    #[must_use]
    pub fn token(&self, grant: &Grant, subject: Option<&str>, now: u64, ttl: u64) -> String {
        let mut header = json!({ "alg": algorithms::name(self.algorithm), "typ": "JWT" });
        if let Some(id) = &self.key.id {
            header["kid"] = json!(id);
        }
        let mut claims = json!({
            "iss": self.issuer, "aud": self.audience, "iat": now, "exp": now + ttl, "jti": random(16),
            "gapless": claim(grant),
        });
        if let Some(subject) = subject {
            claims["sub"] = json!(subject);
        }
        let encoded = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        let message = format!("{}.{}", encoded(&header), encoded(&claims));
        let signature = self.key.sign(self.algorithm, &message).expect("a key that can sign does");
        format!("{message}.{signature}")
    }
}

const EXAMPLE: &str = "add one to the configuration, for example:\n\n  [[access.issuers]]\n  issuer = \"me\"\n  audience = \"gapless\"\n  \
                       algorithms = [\"HS256\"]\n  key_file = \"secret\"    # `openssl rand -base64 32 > secret`\n";

/// The claim `gapless`, without empty members.
fn claim(grant: &Grant) -> Value {
    let mut claim = Map::new();
    for (name, filters) in [("publish", &grant.publish), ("subscribe", &grant.subscribe)] {
        if !filters.is_empty() {
            let texts: Vec<&str> = filters.iter().map(crate::event::Filter::as_str).collect();
            claim.insert(name.into(), json!(texts));
        }
    }
    if !grant.relay.is_empty() {
        let texts: Vec<String> = grant.relay.iter().map(ToString::to_string).collect();
        claim.insert("relay".into(), json!(texts));
    }
    if grant.admin {
        claim.insert("admin".into(), json!(true));
    }
    claim.into()
}

/// A new static token, and its SHA-256 in hexadecimal digits for the configuration.
#[must_use]
pub fn static_token() -> (String, String) {
    let token = format!("gpl_{}", random(RANDOM_BYTES));
    let hash = super::hex(&super::sha256(token.as_bytes()));
    (token, hash)
}

fn random(bytes: usize) -> String {
    let mut buffer = vec![0; bytes];
    rand::fill(&mut buffer).expect("the system's random number generator works");
    BASE64_URL_SAFE_NO_PAD.encode(buffer)
}
