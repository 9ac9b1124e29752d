//! Tokens of one's own: a JWT signed with a key at hand, or a random one for the configuration.

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

/// A key to sign with, and for whom.
#[derive(Debug)]
pub struct Mint {
    issuer: Box<str>,
    audience: Box<str>,
    algorithm: Algorithm,
    key: VerificationKey,
}

/// Bytes of a static token that are random: as strong as the hash that it is known by.
const RANDOM_BYTES: usize = 32;

impl Mint {
    /// A mint for the issuer called `issuer`, or the first in the settings that has a key to sign with. `key` is a file with
    /// its private key, when the settings have only the public one.
    ///
    /// # Errors
    /// Says what to configure.
    pub fn new(settings: &AccessSettings, issuer: Option<&str>, key: Option<&Path>) -> Result<Self, String> {
        let mut problems = Vec::new();
        let issuers = Issuers::new(settings.issuers.clone(), Timing::default(), &FetchConfig::default(), |problem| {
            problems.push(problem);
        });
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }
        if issuers.is_empty() {
            return Err(format!("no issuer is configured that could sign; {EXAMPLE}"));
        }
        let named = issuers.all().iter().filter(|trusted| issuer.is_none_or(|name| *trusted.issuer == *name));
        let named: Vec<_> = named.collect();
        if named.is_empty() {
            let known: Vec<String> = issuers.all().iter().map(|trusted| format!("{:?}", trusted.issuer)).collect();
            return Err(format!(
                "no issuer is called {:?}; configured are {}",
                issuer.unwrap_or_default(),
                known.join(", ")
            ));
        }
        let Some(path) = key else {
            let able = named.iter().find_map(|trusted| {
                let key = trusted.keys().iter().find(|key| key.can_sign()).cloned()?;
                Some((trusted, key))
            });
            let (trusted, key) = able.ok_or_else(|| {
                format!("no configured issuer has a secret or a private key; give its private key with --key-file, or {EXAMPLE}")
            })?;
            return Ok(Self::with(&trusted.issuer, trusted.audience(), key));
        };
        let text = super::read_file(path, MAX_FILE_BYTES)?;
        let mut why = format!("{} has no key to sign with: give a private one", path.display());
        for trusted in named {
            let keys = match key_text::read(&text, trusted.algorithms()) {
                Ok(keys) => keys,
                Err(problems) => {
                    why = format!("{} {}", path.display(), problems.join("; "));
                    continue;
                }
            };
            let Some(mut key) = keys.into_iter().find(VerificationKey::can_sign) else { continue };
            let known = trusted.keys();
            match known.iter().find(|known| known.thumb == key.thumb) {
                Some(known) => key.id.clone_from(&known.id),
                None if trusted.is_fetched() => {}
                None => {
                    why = format!(
                        "{} has a key that is none of those configured for {:?}, so that its tokens would be refused",
                        path.display(),
                        trusted.issuer
                    );
                    continue;
                }
            }
            return Ok(Self::with(&trusted.issuer, trusted.audience(), key));
        }
        Err(why)
    }

    fn with(issuer: &str, audience: &str, key: VerificationKey) -> Self {
        Self { issuer: issuer.into(), audience: audience.into(), algorithm: key.algorithms[0], key }
    }

    /// A JWT that opens `grant` from `now` until `ttl` later, in seconds since 1970 and seconds.
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

const EXAMPLE: &str = "write into the configuration, as an example:\n\n  [[access.issuers]]\n  issuer = \"me\"\n  audience = \"gapless\"\n  \
                       algorithms = [\"HS256\"]\n  key_file = \"secret\"    # `openssl rand -base64 32 > secret`\n";

/// The claim `gapless`, without what is not granted.
fn claim(grant: &Grant) -> Value {
    let mut claim = Map::new();
    for (name, filters) in [("publish", &grant.publish), ("subscribe", &grant.subscribe)] {
        if !filters.is_empty() {
            let texts: Vec<&str> = filters.iter().map(crate::event::Filter::as_str).collect();
            claim.insert(name.into(), json!(texts));
        }
    }
    if grant.admin {
        claim.insert("admin".into(), json!(true));
    }
    claim.into()
}

/// A fresh static token and its hash in hexadecimal, which is all that a hub need know.
#[must_use]
pub fn static_token() -> (String, String) {
    let token = format!("gpl_{}", random(RANDOM_BYTES));
    let hash = super::hex(&super::sha256(token.as_bytes()));
    (token, hash)
}

fn random(bytes: usize) -> String {
    let mut buffer = vec![0; bytes];
    rand::fill(&mut buffer).expect("the system has randomness, or nothing here is safe");
    BASE64_URL_SAFE_NO_PAD.encode(buffer)
}
