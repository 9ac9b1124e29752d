//! Signature algorithms. The operator pins those of each issuer; a token never chooses one.
//!
//! All that `jsonwebtoken` supports: RFC 7518 without ES512 and `none`, and Ed25519 of RFC 8037.

use jsonwebtoken::{Algorithm, AlgorithmFamily};

/// Every supported algorithm, with its JWA name.
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

/// The algorithm with this name. Names are case-sensitive (RFC 7515).
pub(super) fn named(name: &str) -> Option<Algorithm> {
    KNOWN.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
}

/// The JWA name of an algorithm.
pub(super) fn name(algorithm: Algorithm) -> &'static str {
    KNOWN.iter().find(|(_, known)| *known == algorithm).map_or("?", |(name, _)| name)
}

/// Shortest allowed secret of an HMAC algorithm, in bytes: the size of its hash (RFC 7518, 3.2). 0 for other
/// algorithms.
pub(super) fn min_secret_bytes(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::HS256 => 32,
        Algorithm::HS384 => 48,
        Algorithm::HS512 => 64,
        _ => 0,
    }
}

/// Checks that a secret is at least as long as the hash of each algorithm.
pub(super) fn check_secret_length(secret: &[u8], pinned: &[Algorithm]) -> Result<(), String> {
    let longest = pinned.iter().max_by_key(|algorithm| min_secret_bytes(**algorithm));
    let needed = longest.map_or(0, |algorithm| min_secret_bytes(*algorithm));
    if secret.len() >= needed {
        return Ok(());
    }
    Err(format!(
        "is a secret of {} bytes, but {} needs {needed}, the size of its hash (RFC 7518, 3.2), because a shorter one can be \
         guessed from any token; `openssl rand -base64 {needed}` makes one",
        secret.len(),
        longest.map_or("HS", |algorithm| name(*algorithm)),
    ))
}

/// Whether it is symmetric: one secret signs and verifies.
pub(super) fn is_symmetric(algorithm: Algorithm) -> bool {
    algorithm.family() == AlgorithmFamily::Hmac
}

/// The algorithms with these names. Calls `report` for each mistake.
pub(super) fn pinned(names: &[String], mut report: impl FnMut(String)) -> Vec<Algorithm> {
    let all = || KNOWN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    if names.is_empty() {
        report(format!("algorithms is empty; choose from {}", all()));
    }
    let mut pinned: Vec<Algorithm> = Vec::new();
    for text in names {
        match named(text) {
            Some(algorithm) if !pinned.contains(&algorithm) => pinned.push(algorithm),
            Some(_) => {}
            None if text.eq_ignore_ascii_case("none") => {
                report("algorithms has none, which accepts unsigned tokens; leave it out".into());
            }
            None => report(format!("algorithms has {text:?}, which is not supported; choose from {}", all())),
        }
    }
    if pinned.iter().any(|one| is_symmetric(*one)) && !pinned.iter().all(|one| is_symmetric(*one)) {
        report(
            "algorithms mixes HS with others, so a public key could be used as an HS secret; configure two issuers"
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
        let mut mistakes = Vec::new();
        pinned(&names, |mistake| mistakes.push(mistake));
        mistakes
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
    fn an_issuer_has_either_secrets_or_public_keys() {
        assert!(mistakes(&["HS256", "RS256"])[0].contains("configure two issuers"));
        assert_eq!(mistakes(&["HS256", "HS512"]), [""; 0]);
    }

    #[test]
    fn every_algorithm_has_its_name() {
        for (text, algorithm) in KNOWN {
            assert_eq!((named(text), name(*algorithm)), (Some(*algorithm), *text));
        }
    }
}
