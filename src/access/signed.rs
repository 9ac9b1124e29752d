//! Tokens of another protocol, with keys and claims of its own. Here only their signature and their times are checked: what
//! they permit, the protocol knows.

use serde_json::{Map, Value};

use jsonwebtoken::Algorithm;

use super::{MAX_CREDENTIAL_BYTES, Refusal, algorithms, claims, json, jwt, key_text, keys::VerificationKey, sha256};

/// The keys that sign such tokens, and the algorithms that the operator has pinned.
#[derive(Debug)]
pub struct SignedTokens {
    algorithms: Vec<Algorithm>,
    keys: Vec<VerificationKey>,
}

/// A token whose signature is right, and that is valid now.
#[derive(Debug)]
pub struct SignedToken {
    /// The header's `typ`.
    pub kind: Option<String>,
    /// All claims.
    pub claims: Map<String, Value>,
    /// When it expires, in seconds since 1970, leeway included; `None` when it has no `exp`.
    pub expires: Option<u64>,
    /// What a list of revoked tokens knows it by.
    pub identity: TokenIdentity,
}

/// What a token is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenIdentity {
    /// SHA-256 of the text before its last dot, as in the revoked list.
    pub sha256: [u8; 32],
    /// The claim `jti`.
    pub id: Option<Box<str>>,
    /// The claim `sub`.
    pub subject: Option<Box<str>>,
}

impl SignedTokens {
    /// Reads keys: a secret, PEM, or a JWK set, for algorithms with these JWA names.
    ///
    /// # Errors
    /// Every mistake, in words that follow the name of the key's file. None repeats any of the text.
    pub fn new(key: &[u8], names: &[String]) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let pinned = algorithms::pinned(names, |problem| problems.push(problem));
        if !problems.is_empty() {
            return Err(problems);
        }
        let keys = key_text::read(key, &pinned)?;
        Ok(Self { algorithms: pinned, keys })
    }

    /// Checks a token at the time `now`, in seconds since 1970, with a tolerance of `leeway` seconds.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn verify(&self, token: &[u8], leeway: u64, now: u64) -> Result<SignedToken, Refusal> {
        if token.len() > MAX_CREDENTIAL_BYTES {
            return Err(Refusal::TooLong);
        }
        if !jwt::has_three_parts(token) {
            return Err(Refusal::Malformed { part: "text", problem: "does not have three parts" });
        }
        let parsed = jwt::parse(token)?;
        let algorithm = parsed.algorithm.filter(|algorithm| self.algorithms.contains(algorithm));
        let Some(algorithm) = algorithm else {
            let names: Vec<_> = self.algorithms.iter().map(|one| algorithms::name(*one)).collect();
            return Err(Refusal::Algorithm { accepted: names.join(", ").into() });
        };
        let verifies = |key: &VerificationKey| {
            key.algorithms.contains(&algorithm) && key.verifies(algorithm, parsed.message, parsed.signature)
        };
        if !self.keys.iter().any(verifies) {
            return Err(Refusal::Signature);
        }
        let claims = json::object(&parsed.claims).map_err(|problem| Refusal::Malformed { part: "claims", problem })?;
        let expires = time(&claims, "exp", f64::floor)?.map(|at| at.saturating_add(leeway));
        if let Some(at) = expires.filter(|at| *at <= now) {
            return Err(Refusal::Expired { at: at.saturating_sub(leeway) });
        }
        if let Some(from) = time(&claims, "nbf", f64::ceil)?.filter(|from| *from > now.saturating_add(leeway)) {
            return Err(Refusal::NotYet { from });
        }
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(Into::into);
        let identity = TokenIdentity { sha256: sha256(jwt::message(token)), id: text("jti"), subject: text("sub") };
        Ok(SignedToken { kind: parsed.kind, expires, identity, claims })
    }
}

fn time(claims: &Map<String, Value>, name: &str, whole: fn(f64) -> f64) -> Result<Option<u64>, Refusal> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let wrong = || Refusal::Claim { claim: name.into(), problem: "must be a number of seconds since 1970".into() };
    claims::seconds(value, whole).map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
    use serde_json::json;

    use super::*;
    use crate::access::keys::Material;

    const SECRET: &[u8] = b"!ChangeThisMercureHubJWTSecretKey!";
    const NOW: u64 = 1_795_233_960;

    fn token(secret: &[u8], header: &Value, claims: &Value) -> String {
        let message = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let key = Material::secret(secret).pinned(&[Algorithm::HS256], None).expect("it fits");
        let signature = key.sign(Algorithm::HS256, &message).expect("a secret signs");
        format!("{message}.{signature}")
    }

    fn verify(secret: &[u8], header: &Value, claims: &Value) -> Result<SignedToken, Refusal> {
        let tokens = SignedTokens::new(SECRET, &["HS256".into()]).expect("sound");
        tokens.verify(token(secret, header, claims).as_bytes(), 5, NOW)
    }

    #[test]
    fn a_signed_token_gives_its_type_its_claims_and_its_end() {
        let claims = json!({"exp": NOW + 1, "nbf": NOW, "sub": "ann", "jti": "1", "mercure": {}});
        let signed = verify(SECRET, &json!({"alg": "HS256", "typ": "at+jwt"}), &claims).expect("valid");
        assert_eq!((signed.kind.as_deref(), signed.expires), (Some("at+jwt"), Some(NOW + 6)));
        let TokenIdentity { id, subject, .. } = signed.identity;
        assert_eq!((id.as_deref(), subject.as_deref()), (Some("1"), Some("ann")));
        assert!(signed.claims.contains_key("mercure"));
        let unending = verify(SECRET, &json!({"alg": "HS256"}), &json!({})).expect("valid");
        assert_eq!((unending.kind, unending.expires), (None, None));
    }

    #[test]
    fn a_token_that_is_not_signed_or_not_valid_now_is_refused() {
        let header = json!({"alg": "HS256"});
        assert!(matches!(verify(&[b'x'; 32], &header, &json!({})), Err(Refusal::Signature)));
        let expired = verify(SECRET, &header, &json!({"exp": NOW - 5}));
        assert!(matches!(expired, Err(Refusal::Expired { at }) if at == NOW - 5));
        assert!(matches!(verify(SECRET, &header, &json!({"nbf": NOW + 6})), Err(Refusal::NotYet { .. })));
        assert!(matches!(verify(SECRET, &header, &json!({"exp": "soon"})), Err(Refusal::Claim { .. })));
        let none = verify(SECRET, &json!({"alg": "none"}), &json!({}));
        assert!(matches!(none, Err(Refusal::Algorithm { .. })));
        let tokens = SignedTokens::new(SECRET, &["HS256".into()]).expect("sound");
        for text in ["", "x", "a.b", "a.b.c", &"x".repeat(MAX_CREDENTIAL_BYTES + 1)] {
            assert!(tokens.verify(text.as_bytes(), 5, NOW).is_err(), "{text:.10}");
        }
    }

    #[test]
    fn a_short_secret_or_an_unknown_algorithm_is_a_mistake() {
        assert!(SignedTokens::new(b"short", &["HS256".into()]).is_err());
        assert!(SignedTokens::new(SECRET, &["none".into()]).is_err());
        assert!(SignedTokens::new(SECRET, &["RS256".into()]).is_err());
    }
}
