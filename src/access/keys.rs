//! Keys that sign and verify JWTs, parsed and checked once.

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rsa::PublicKey,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
        ECDSA_P384_SHA384_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair, ParsedPublicKey, RsaKeyPair,
    },
};
use base64::prelude::{BASE64_STANDARD, Engine};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};

use super::{algorithms, digest::sha256};

/// Most keys of one issuer, in a file or fetched. A rotation needs two or three; a large provider has ten.
pub(super) const MAX_KEYS: usize = 100;

/// Allowed sizes of an RSA key, in bits. The minimum is that of NIST SP 800-131A and RFC 7518, 3.3; larger keys than
/// the maximum take too long to verify with.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

const SECRET: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
const RSA: &[Algorithm] =
    &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

/// A parsed key, not yet assigned to an issuer.
pub(super) struct Material {
    /// All algorithms that this kind of key, or its curve, can be used with.
    algorithms: &'static [Algorithm],
    decoding_key: DecodingKey,
    encoding_key: Option<EncodingKey>,
    /// SHA-256 of the public key (SubjectPublicKeyInfo), or of the secret.
    fingerprint: [u8; 32],
}

/// A key of an issuer.
#[derive(Clone)]
pub(super) struct VerificationKey {
    /// The key ID (`kid`) by which a token may name it.
    pub id: Option<Box<str>>,
    /// The algorithms that the issuer has pinned and that the key can be used with. Never empty.
    pub algorithms: Vec<Algorithm>,
    decoding_key: DecodingKey,
    encoding_key: Option<EncodingKey>,
    /// SHA-256 of the public key (SubjectPublicKeyInfo), or of the secret.
    pub fingerprint: [u8; 32],
}

impl Material {
    /// A symmetric secret: it signs and verifies.
    pub(super) fn secret(secret: &[u8]) -> Self {
        Self {
            algorithms: SECRET,
            decoding_key: DecodingKey::from_secret(secret),
            encoding_key: Some(EncodingKey::from_secret(secret)),
            fingerprint: sha256(secret),
        }
    }

    /// A public key: SubjectPublicKeyInfo, or the raw bytes of an EC point or an Ed25519 key.
    pub(super) fn public(bytes: &[u8]) -> Result<Self, String> {
        let parsed = |algorithm| ParsedPublicKey::new(algorithm, bytes).ok().and_then(|key| key.as_der().ok());
        let der = |der: PublicKeyX509Der<'static>| der.as_ref().to_vec();
        if let Some(spki) = parsed(&ED25519).map(der) {
            return Ok(Self::verify_only(&[Algorithm::EdDSA], DecodingKey::from_ed_der(&spki), &spki));
        }
        if let Some(spki) = parsed(&ECDSA_P256_SHA256_FIXED).map(der) {
            return Ok(Self::verify_only(&[Algorithm::ES256], DecodingKey::from_ec_der(&spki), &spki));
        }
        if let Some(spki) = parsed(&ECDSA_P384_SHA384_FIXED).map(der) {
            return Ok(Self::verify_only(&[Algorithm::ES384], DecodingKey::from_ec_der(&spki), &spki));
        }
        let key = PublicKey::from_der(bytes).map_err(
            |_| "is not a supported public key: it must be Ed25519, P-256, P-384, or RSA of 2048 to 8192 bits",
        )?;
        let modulus = key.modulus();
        let modulus = modulus.big_endian_without_leading_zero();
        let bits = 8 * modulus.len() - modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
        if !RSA_BITS.contains(&bits) {
            return Err(format!(
                "is an RSA key of {bits} bits; it must have 2048 to 8192, because shorter keys can be broken"
            ));
        }
        let spki = key.as_der().map_err(|_| "is an RSA key that cannot be encoded")?;
        Ok(Self::verify_only(RSA, DecodingKey::from_rsa_der(spki.as_ref()), spki.as_ref()))
    }

    /// A private key, PKCS#8. It verifies with its public key.
    pub(super) fn private(pkcs8: &[u8]) -> Result<Self, String> {
        let (public, encoding_key) = if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8) {
            (pair.public_key().as_ref().to_vec(), EncodingKey::from_ed_der(pkcs8))
        } else if let Some(pair) = [&ECDSA_P256_SHA256_FIXED_SIGNING, &ECDSA_P384_SHA384_FIXED_SIGNING]
            .into_iter()
            .find_map(|curve| EcdsaKeyPair::from_pkcs8(curve, pkcs8).ok())
        {
            (pair.public_key().as_ref().to_vec(), EncodingKey::from_ec_der(pkcs8))
        } else if let Ok(pair) = RsaKeyPair::from_pkcs8(pkcs8) {
            let spki = pair.public_key().as_der().map_err(|_| "is an RSA key without a public key")?;
            (spki.as_ref().to_vec(), rsa_signer(pkcs8)?)
        } else {
            return Err(
                "is not a supported private key: it must be Ed25519, P-256, P-384, or RSA of 2048 to 8192 bits".into(),
            );
        };
        Ok(Self { encoding_key: Some(encoding_key), ..Self::public(&public)? })
    }

    fn verify_only(algorithms: &'static [Algorithm], decoding_key: DecodingKey, spki: &[u8]) -> Self {
        Self { algorithms, decoding_key, encoding_key: None, fingerprint: sha256(spki) }
    }

    /// Makes it a key of an issuer that has `pinned` these algorithms, with the key ID `id`.
    ///
    /// # Errors
    /// When none of them can be used with it.
    pub(super) fn pinned(self, pinned: &[Algorithm], id: Option<&str>) -> Result<VerificationKey, String> {
        let algorithms: Vec<Algorithm> =
            pinned.iter().filter(|algorithm| self.algorithms.contains(algorithm)).copied().collect();
        if algorithms.is_empty() {
            let names = |all: &[Algorithm]| all.iter().map(|one| algorithms::name(*one)).collect::<Vec<_>>().join(", ");
            return Err(format!("is a key for {}, but algorithms are {}", names(self.algorithms), names(pinned)));
        }
        let Self { decoding_key, encoding_key, fingerprint, .. } = self;
        Ok(VerificationKey { id: id.map(Into::into), algorithms, decoding_key, encoding_key, fingerprint })
    }
}

impl VerificationKey {
    /// Whether it made this base64url signature of `message`.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &str) -> bool {
        debug_assert!(self.algorithms.contains(&algorithm), "the caller has chosen by algorithm");
        crypto::verify(signature, message, &self.decoding_key, algorithm).unwrap_or(false)
    }

    /// Signs `message`; the signature is in base64url. `None` for a public key.
    pub(super) fn sign(&self, algorithm: Algorithm, message: &str) -> Option<String> {
        crypto::sign(message.as_bytes(), self.encoding_key.as_ref()?, algorithm).ok()
    }

    /// Whether it is a secret or a private key.
    pub(super) fn can_sign(&self) -> bool {
        self.encoding_key.is_some()
    }
}

/// Never shows a secret.
impl std::fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerificationKey")
            .field("id", &self.id)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

/// `EncodingKey::from_rsa_der` takes the key inside the PKCS#8 structure; `from_rsa_pem` extracts it.
fn rsa_signer(pkcs8: &[u8]) -> Result<EncodingKey, String> {
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64_STANDARD.encode(pkcs8));
    EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| "is an RSA key that cannot be read".into())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rsa::PublicKeyComponents;

    use super::*;
    use crate::access::testing::TestKey;

    #[test]
    fn a_key_is_used_only_with_algorithms_of_its_kind() {
        for pair in TestKey::all() {
            let key = Material::public(&pair.spki()).expect("sound");
            assert_eq!(key.algorithms, Material::private(&pair.pkcs8).expect("sound").algorithms);
            for (_, algorithm) in
                [("ES256", Algorithm::ES256), ("EdDSA", Algorithm::EdDSA), ("PS512", Algorithm::PS512)]
            {
                let pinned = Material::public(&pair.spki()).expect("sound").pinned(&[algorithm], None);
                assert_eq!(pinned.is_ok(), key.algorithms.contains(&algorithm), "{:?}", pair.algorithm);
            }
        }
    }

    #[test]
    fn a_private_key_verifies_with_its_public_key() {
        for pair in TestKey::all() {
            let private = Material::private(&pair.pkcs8).expect("sound").pinned(&[pair.algorithm], None).expect("fits");
            let public = Material::public(&pair.spki()).expect("sound").pinned(&[pair.algorithm], None).expect("fits");
            assert_eq!(private.fingerprint, public.fingerprint, "{:?}", pair.algorithm);
            let signature = private.sign(pair.algorithm, "message").expect("it signs");
            assert!(public.verifies(pair.algorithm, b"message", &signature));
            assert!(!public.verifies(pair.algorithm, b"massage", &signature));
            assert!(!public.can_sign() && public.sign(pair.algorithm, "message").is_none());
        }
    }

    #[test]
    fn a_short_rsa_key_is_refused_with_its_length() {
        // Not a product of two primes, which a verifier cannot detect.
        let mut n = [0xff; 128];
        n[0] = 0xbf;
        let spki = PublicKeyComponents { n: &n[..], e: &[1, 0, 1][..] }.as_der().expect("a number");
        let error = Material::public(spki.as_ref()).err().expect("too short");
        assert!(error.contains("of 1024 bits"), "{error}");
        let mut n = [0xff; 256];
        n[0] = 0xbf;
        let spki = PublicKeyComponents { n: &n[..], e: &[1, 0, 1][..] }.as_der().expect("a number");
        assert!(Material::public(spki.as_ref()).is_ok());
    }

    #[test]
    fn debug_output_never_shows_a_key() {
        let key = Material::secret(&[b'x'; 32]).pinned(&[Algorithm::HS256], Some("id")).expect("fits");
        assert!(!format!("{key:?}").contains("xxx"), "{key:?}");
    }
}
