//! The algorithms that an issuer's tokens may be signed with: pinned by the operator, never chosen by a token.
//!
//! All of RFC 7518 but ES512 and `none`, and of RFC 8037 Ed25519: what `jsonwebtoken` has.

use jsonwebtoken::{Algorithm, AlgorithmFamily};

/// Every algorithm there is, by its JWA name.
const KNOWN: &[(&str, Algorithm)] = &[
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// The algorithm of this name, which is compared byte by byte: RFC 7515 makes it case-sensitive.
pub(super) fn named(name: &str) -> Option<Algorithm> {
    KNOWN.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
}

/// Its name.
pub(super) fn name(algorithm: Algorithm) -> &'static str {
    KNOWN.iter().find(|(_, known)| *known == algorithm).map_or("?", |(name, _)| name)
}

/// Bytes of an HMAC's hash, which its secret must not be shorter than (RFC 7518, 3.2); 0 for what is no HMAC.
pub(super) fn secret_bytes(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::HS256 => 32,
        Algorithm::HS384 => 48,
        Algorithm::HS512 => 64,
        _ => 0,
    }
}

/// Whether it signs and verifies with one secret.
pub(super) fn is_secret(algorithm: Algorithm) -> bool {
    algorithm.family() == AlgorithmFamily::Hmac
}

/// The algorithms of these names. Each mistake goes to `wrong`.
pub(super) fn pinned(names: &[String], mut wrong: impl FnMut(String)) -> Vec<Algorithm> {
    let all = || KNOWN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    if names.is_empty() {
        wrong(format!("algorithms is empty; choose from {}", all()));
    }
    let mut pinned: Vec<Algorithm> = Vec::new();
    for text in names {
        match named(text) {
            Some(algorithm) if !pinned.contains(&algorithm) => pinned.push(algorithm),
            Some(_) => {}
            None if text.eq_ignore_ascii_case("none") => {
                wrong("algorithms has none, with which anybody signs; leave it out".into());
            }
            None => wrong(format!("algorithms has {text:?}, which is not known here; choose from {}", all())),
        }
    }
    if pinned.iter().any(|one| is_secret(*one)) && !pinned.iter().all(|one| is_secret(*one)) {
        wrong(
            "algorithms mixes HS with others, so that a public key could be taken for a secret; make two issuers"
                .into(),
        );
    }
    pinned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(names: &[&str]) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut told = Vec::new();
        pinned(&names, |mistake| told.push(mistake));
        told
    }

    #[test]
    fn unknown_names_and_none_in_any_spelling_are_mistakes() {
        for name in ["none", "None", "NONE", "nOnE", "", "hs256", "ES512", "RS256 "] {
            assert_eq!(mistakes(&[name]).len(), 1, "{name}");
        }
        assert!(mistakes(&[])[0].contains("choose from HS256"));
        assert_eq!(mistakes(&["EdDSA", "RS256", "PS512", "ES384"]), [""; 0]);
    }

    #[test]
    fn a_secret_and_a_public_key_are_never_of_one_issuer() {
        assert!(mistakes(&["HS256", "RS256"])[0].contains("make two issuers"));
        assert_eq!(mistakes(&["HS256", "HS512"]), [""; 0]);
    }

    #[test]
    fn every_algorithm_has_its_name() {
        for (text, algorithm) in KNOWN {
            assert_eq!((named(text), name(*algorithm)), (Some(*algorithm), *text));
        }
    }
}
