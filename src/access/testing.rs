//! Real keys, and tokens of any shape signed with them.

use std::sync::OnceLock;

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa::{KeySize, PublicKeyComponents},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
        RsaKeyPair,
    },
};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::{
    Access, AccessSettings, algorithms,
    keys::{Material, VerificationKey},
    settings::{IssuerSettings, KeySource},
};

/// A key pair for tests.
pub(super) struct TestKey {
    pub algorithm: Algorithm,
    pub pkcs8: Vec<u8>,
}

/// The current time of the tests: 2026-11-21T04:06:00Z.
pub(super) const NOW: u64 = 1_795_233_960;
/// The issuer and the audience of the tests.
pub(super) const ISSUER: &str = "https://login.example";
pub(super) const AUDIENCE: &str = "gapless";
/// A secret that is long enough for every HS algorithm.
pub(super) const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

impl TestKey {
    /// One of each kind, generated once: Ed25519, P-256, RSA, P-384.
    pub(super) fn all() -> &'static [Self] {
        static ALL: OnceLock<Vec<TestKey>> = OnceLock::new();
        ALL.get_or_init(|| {
            let all = [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256, Algorithm::ES384];
            all.into_iter().map(Self::fresh).collect()
        })
    }

    /// A new key pair.
    pub(super) fn fresh(algorithm: Algorithm) -> Self {
        let random = SystemRandom::new();
        let ec = |curve| EcdsaKeyPair::generate_pkcs8(curve, &random).expect("a key").as_ref().to_vec();
        let pkcs8 = match algorithm {
            Algorithm::EdDSA => Ed25519KeyPair::generate_pkcs8(&random).expect("a key").as_ref().to_vec(),
            Algorithm::ES256 => ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::ES384 => ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
            _ => RsaKeyPair::generate(KeySize::Rsa2048).expect("a key").as_der().expect("PKCS#8").as_ref().to_vec(),
        };
        Self { algorithm, pkcs8 }
    }

    pub(super) fn spki(&self) -> Vec<u8> {
        let raw = self.raw();
        match self.algorithm {
            Algorithm::EdDSA | Algorithm::ES256 | Algorithm::ES384 => {
                let algorithm: &'static dyn aws_lc_rs::signature::VerificationAlgorithm = match self.algorithm {
                    Algorithm::EdDSA => &aws_lc_rs::signature::ED25519,
                    Algorithm::ES256 => &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED,
                    _ => &aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED,
                };
                let key = aws_lc_rs::signature::ParsedPublicKey::new(algorithm, raw).expect("sound");
                key.as_der().expect("sound").as_ref().to_vec()
            }
            _ => self.rsa().public_key().as_der().expect("sound").as_ref().to_vec(),
        }
    }

    fn rsa(&self) -> RsaKeyPair {
        RsaKeyPair::from_pkcs8(&self.pkcs8).expect("sound")
    }

    /// The raw public key: Ed25519 bytes, an EC point, or RSAPublicKey.
    fn raw(&self) -> Vec<u8> {
        let ec = |curve| EcdsaKeyPair::from_pkcs8(curve, &self.pkcs8).expect("sound").public_key().as_ref().to_vec();
        match self.algorithm {
            Algorithm::EdDSA => Ed25519KeyPair::from_pkcs8(&self.pkcs8).expect("sound").public_key().as_ref().to_vec(),
            Algorithm::ES256 => ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::ES384 => ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
            _ => self.rsa().public_key().as_ref().to_vec(),
        }
    }

    pub(super) fn public_pem(&self) -> String {
        pem("PUBLIC KEY", &self.spki())
    }

    pub(super) fn private_pem(&self) -> String {
        pem("PRIVATE KEY", &self.pkcs8)
    }

    pub(super) fn jwk(&self, id: &str) -> Value {
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let raw = self.raw();
        match self.algorithm {
            Algorithm::EdDSA => json!({ "kid": id, "kty": "OKP", "crv": "Ed25519", "x": text(&raw) }),
            Algorithm::ES256 | Algorithm::ES384 => {
                let (x, y) = raw[1..].split_at(raw.len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({ "kid": id, "kty": "EC", "crv": curve, "x": text(x), "y": text(y) })
            }
            _ => {
                let key = PublicKeyComponents::<Vec<u8>>::from(self.rsa().public_key());
                json!({ "kid": id, "kty": "RSA", "n": text(&key.n), "e": text(&key.e) })
            }
        }
    }

    pub(super) fn key(&self) -> VerificationKey {
        Material::private(&self.pkcs8).expect("sound").pinned(&[self.algorithm], None).expect("fits")
    }

    /// A token with these claims, and a header with only the algorithm.
    pub(super) fn token(&self, claims: &Value) -> String {
        self.signed(&json!({ "alg": algorithms::name(self.algorithm) }).to_string(), &claims.to_string())
    }

    /// A correctly signed token with any header and claims.
    pub(super) fn signed(&self, header: &str, claims: &str) -> String {
        signed(&self.key(), self.algorithm, header, claims)
    }

    /// An [`Access`] that trusts only this key.
    pub(super) fn access(&self) -> Access {
        Access::new(AccessSettings { issuers: vec![self.issuer()], ..AccessSettings::default() }).expect("sound")
    }

    pub(super) fn issuer(&self) -> IssuerSettings {
        issuer(&[algorithms::name(self.algorithm)], KeySource::Inline(self.public_pem()))
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64_STANDARD.encode(der))
}

/// [`SECRET`] as a key.
pub(super) fn secret(algorithm: Algorithm) -> VerificationKey {
    Material::secret(SECRET.as_bytes()).pinned(&[algorithm], None).expect("fits")
}

/// A correctly signed token with any header and claims.
pub(super) fn signed(key: &VerificationKey, algorithm: Algorithm, header: &str, claims: &str) -> String {
    let message = format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
    let signature = key.sign(algorithm, &message).expect("it signs");
    format!("{message}.{signature}")
}

/// The issuer of the tests.
pub(super) fn issuer(algorithms: &[&str], keys: KeySource) -> IssuerSettings {
    IssuerSettings {
        issuer: ISSUER.into(),
        audience: AUDIENCE.into(),
        algorithms: algorithms.iter().map(|name| (*name).to_owned()).collect(),
        keys,
    }
}

/// Claims that are valid for a minute.
pub(super) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": NOW + 60,
        "gapless": { "publish": ["jobs/*"], "subscribe": ["jobs/**"] },
    })
}

/// The same claims with one of them replaced, or removed.
pub(super) fn claims_with(name: &str, value: Option<Value>) -> Value {
    let mut claims = claims();
    match value {
        Some(value) => claims[name] = value,
        None => drop(claims.as_object_mut().expect("an object").remove(name)),
    }
    claims
}
