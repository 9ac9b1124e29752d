//! JWK sets (RFC 7517), from a file or fetched.
//!
//! `jsonwebtoken` parses a set as a whole, so one key of an unknown kind would make all others unusable. This module
//! parses each key by itself.

use aws_lc_rs::{encoding::AsDer, rsa::PublicKeyComponents};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::{
    algorithms, json,
    keys::{MAX_KEYS, Material, VerificationKey},
};

/// Parses a set that the operator has configured. Every key must be usable; secrets are allowed.
///
/// # Errors
/// Each key that is not usable, by its position from 1.
pub(super) fn parse_configured(text: &[u8], pinned: &[Algorithm]) -> Result<Vec<VerificationKey>, Vec<String>> {
    let set = set(text).map_err(|problem| vec![problem.to_owned()])?;
    let (mut keys, mut problems) = (Vec::new(), Vec::new());
    for (index, value) in set.iter().enumerate() {
        match key(value, pinned, true) {
            Ok(key) => keys.push(key),
            Err(problem) => problems.push(format!("has a key, number {}, that {problem}", index + 1)),
        }
    }
    if problems.is_empty() { Ok(keys) } else { Err(problems) }
}

/// Parses a fetched set. Keys that are not usable are skipped, because a provider's set has keys for other purposes,
/// too. Secrets are skipped, because everybody who can read the URL would know them.
///
/// # Errors
/// When it is not a set, has too many keys, or has no usable key.
pub(super) fn parse_fetched(text: &[u8], pinned: &[Algorithm]) -> Result<Vec<VerificationKey>, &'static str> {
    let set = set(text)?;
    if set.len() > MAX_KEYS {
        return Err("has more than 100 keys");
    }
    let keys: Vec<VerificationKey> = set.iter().filter_map(|value| key(value, pinned, false).ok()).collect();
    if keys.is_empty() { Err("has no signature key for the configured algorithms") } else { Ok(keys) }
}

fn set(text: &[u8]) -> Result<Vec<Value>, &'static str> {
    match json::object(text)?.remove("keys") {
        Some(Value::Array(keys)) if keys.is_empty() => Err("is a JWK set without keys"),
        Some(Value::Array(keys)) => Ok(keys),
        _ => Err("is not a JWK set: it has no list named keys"),
    }
}

/// Parses one key. `secrets`: whether symmetric secrets are allowed.
fn key(value: &Value, pinned: &[Algorithm], secrets: bool) -> Result<VerificationKey, String> {
    let Value::Object(jwk) = value else { return Err("is not a JSON object".into()) };
    if text(jwk, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err("is not for signatures (use)".into());
    }
    match jwk.get("key_ops") {
        None => {}
        Some(Value::Array(uses)) if uses.iter().any(|one| one == "verify") => {}
        Some(_) => return Err("is not for verification (key_ops)".into()),
    }
    let restriction = text(jwk, "alg")?.map(|name| {
        let known = algorithms::named(name).filter(|algorithm| pinned.contains(algorithm));
        known.ok_or("is for an algorithm (alg) that is not configured")
    });
    let restriction = restriction.transpose()?;
    let pinned = restriction.as_ref().map_or(pinned, std::slice::from_ref);
    let bytes = |name: &str| {
        let decoded = text(jwk, name).ok().flatten().and_then(|text| BASE64_URL_SAFE_NO_PAD.decode(text).ok());
        decoded.ok_or_else(|| format!("has no {name}, or one that is not base64url"))
    };
    let material = match (text(jwk, "kty")?, text(jwk, "crv")?) {
        (Some("RSA"), _) => {
            let key = PublicKeyComponents { n: bytes("n")?, e: bytes("e")? };
            let spki = key.as_der().map_err(|_| "is not an RSA key")?;
            Material::public(spki.as_ref())?
        }
        (Some("EC"), Some(curve @ ("P-256" | "P-384"))) => {
            let (x, y, size) = (bytes("x")?, bytes("y")?, if curve == "P-256" { 32 } else { 48 });
            if (x.len(), y.len()) != (size, size) {
                return Err("has a point that is not on its curve".into());
            }
            Material::public(&[&[4], &*x, &y].concat())?
        }
        (Some("OKP"), Some("Ed25519")) => match bytes("x")? {
            x if x.len() == 32 => Material::public(&x)?,
            _ => return Err("has an x that does not have 32 bytes".into()),
        },
        (Some("oct"), _) if secrets => {
            let secret = bytes("k")?;
            algorithms::check_secret_length(&secret, pinned)?;
            Material::secret(&secret)
        }
        (Some("oct"), _) => return Err("is a secret".into()),
        _ => return Err("is of a kind (kty, crv) that is not supported".into()),
    };
    material.pinned(pinned, text(jwk, "kid")?)
}

/// An optional member that must be a string.
fn text<'v>(jwk: &'v Map<String, Value>, name: &str) -> Result<Option<&'v str>, String> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("has a {name} that is not a string")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::access::testing::TestKey;

    const ALL: &[Algorithm] =
        &[Algorithm::EdDSA, Algorithm::ES256, Algorithm::ES384, Algorithm::RS256, Algorithm::PS384];

    fn usable_keys(jwk: &Value, pinned: &[Algorithm]) -> Result<usize, &'static str> {
        parse_fetched(json!({ "keys": [jwk] }).to_string().as_bytes(), pinned).map(|keys| keys.len())
    }

    #[test]
    fn a_key_verifies_the_signatures_of_its_private_key() {
        for pair in TestKey::all() {
            let text = json!({ "keys": [pair.jwk("a")] }).to_string();
            let keys = parse_fetched(text.as_bytes(), &[pair.algorithm]).expect("sound");
            let signer = Material::private(&pair.pkcs8).expect("sound").pinned(&[pair.algorithm], None).expect("fits");
            let signature = signer.sign(pair.algorithm, "message").expect("it signs");
            assert!(keys[0].verifies(pair.algorithm, b"message", &signature), "{:?}", pair.algorithm);
            assert_eq!(
                (keys[0].id.as_deref(), keys[0].fingerprint),
                (Some("a"), signer.fingerprint),
                "the same fingerprint"
            );
        }
    }

    #[test]
    fn a_secret_in_a_fetched_set_is_never_used() {
        let secret = json!({ "kty": "oct", "k": BASE64_URL_SAFE_NO_PAD.encode([7; 64]), "alg": "HS256" });
        let set = json!({ "keys": [secret] }).to_string();
        assert!(parse_fetched(set.as_bytes(), &[Algorithm::HS256]).is_err());
        assert_eq!(parse_configured(set.as_bytes(), &[Algorithm::HS256]).expect("configured by the operator").len(), 1);
        let short = json!({ "keys": [{ "kty": "oct", "k": BASE64_URL_SAFE_NO_PAD.encode([7; 31]) }] }).to_string();
        assert!(parse_configured(short.as_bytes(), &[Algorithm::HS256]).expect_err("short")[0].contains("31 bytes"));
    }

    #[test]
    fn a_key_for_another_purpose_is_skipped() {
        let ec = TestKey::all()[1].jwk("a");
        let with = |name: &str, value: Value| {
            let mut jwk = ec.clone();
            jwk[name] = value;
            usable_keys(&jwk, ALL)
        };
        assert_eq!(usable_keys(&ec, ALL), Ok(1));
        for (name, value) in [
            ("use", json!("enc")),
            ("use", json!(["sig"])),
            ("key_ops", json!(["encrypt"])),
            ("key_ops", json!("verify")),
            ("alg", json!("ES384")),
            ("alg", json!("RS256")),
            ("alg", json!("HS256")),
            ("alg", json!("none")),
            ("kty", json!("RSA")),
            ("kty", json!("OKP")),
            ("crv", json!("P-384")),
            ("crv", json!("P-521")),
            ("kid", json!(7)),
            ("x", json!("AAAA")),
            ("x", json!(BASE64_URL_SAFE_NO_PAD.encode([1; 32]))),
        ] {
            assert!(with(name, value.clone()).is_err(), "{name}: {value}");
        }
        assert_eq!(with("use", json!("sig")), Ok(1));
        assert_eq!(with("alg", json!("ES256")), Ok(1));
        assert!(usable_keys(&ec, &[Algorithm::EdDSA]).is_err(), "its algorithm is not pinned");
    }

    #[test]
    fn an_unknown_kind_of_key_does_not_make_the_others_unusable() {
        let unknown_kind = json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": 7 });
        let set = json!({ "keys": [unknown_kind, 7, TestKey::all()[1].jwk("a")] }).to_string();
        assert_eq!(parse_fetched(set.as_bytes(), ALL).expect("one is known").len(), 1);
        assert_eq!(parse_configured(set.as_bytes(), ALL).expect_err("an operator meant them all").len(), 2);
    }

    #[test]
    fn a_fetched_set_is_bounded() {
        let set = |count: usize| json!({ "keys": vec![TestKey::all()[1].jwk("a"); count] }).to_string();
        assert_eq!(parse_fetched(set(100).as_bytes(), ALL).map(|keys| keys.len()), Ok(100));
        assert!(parse_fetched(set(101).as_bytes(), ALL).is_err());
        for text in ["{}", "{\"keys\":[]}", "{\"keys\":{}}", "[]", "", "<html>", "{\"keys\":[],\"keys\":[{}]}"] {
            assert!(parse_fetched(text.as_bytes(), ALL).is_err(), "{text}");
        }
    }
}
