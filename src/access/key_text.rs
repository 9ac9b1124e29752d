//! Keys as an operator writes them: a secret, PEM, or a JWK set. `jwk` reads the last, wherever it comes from.
//!
//! Which of them a text is, is decided by the algorithms first: PEM given for HS would make a public key a secret.

use jsonwebtoken::Algorithm;
use rustls::pki_types::pem::{PemObject, SectionKind};

use super::{
    algorithms, jwk,
    keys::{Material, VerificationKey},
};

/// Keys of one issuer at most, in a file or fetched. A rotation has two or three, a large provider ten.
pub(super) const MAX_KEYS: usize = 100;

/// Reads the keys in `text`, for an issuer that has `pinned` these algorithms.
///
/// # Errors
/// Each thing that is wrong, in words that follow the name of the key or its file. None repeats any of the text.
pub(super) fn read(text: &[u8], pinned: &[Algorithm]) -> Result<Vec<VerificationKey>, Vec<String>> {
    let is_pem = text.windows(BEGIN.len()).any(|window| window == BEGIN);
    let is_json = text.trim_ascii_start().starts_with(b"{");
    let keys = match (pinned.iter().any(|algorithm| algorithms::is_secret(*algorithm)), is_pem, is_json) {
        (true, true, _) => {
            Err(vec!["is PEM, but an HS algorithm needs a secret; a public key as one would let everybody sign".into()])
        }
        (_, false, true) => jwk::own(text, pinned),
        (true, false, false) => secret(text, pinned).map(|key| vec![key]).map_err(|problem| vec![problem]),
        (false, true, _) => pem(text, pinned),
        (false, false, false) => Err(vec!["is neither PEM nor a JWK set, which the algorithms need".into()]),
    }?;
    if keys.len() > MAX_KEYS {
        return Err(vec![format!("has more than {MAX_KEYS} keys; leave out those that sign no more")]);
    }
    Ok(keys)
}

const BEGIN: &[u8] = b"-----BEGIN ";

/// A secret is its bytes; of a file, without the line break that editors put at its end.
fn secret(text: &[u8], pinned: &[Algorithm]) -> Result<VerificationKey, String> {
    let text = text.strip_suffix(b"\n").map_or(text, |text| text.strip_suffix(b"\r").unwrap_or(text));
    long_enough(text, pinned)?;
    Material::secret(text).pinned(pinned, None)
}

/// Whether a secret is at least as long as each hash it is used with.
pub(super) fn long_enough(secret: &[u8], pinned: &[Algorithm]) -> Result<(), String> {
    let longest = pinned.iter().max_by_key(|algorithm| algorithms::secret_bytes(**algorithm));
    let needed = longest.map_or(0, |algorithm| algorithms::secret_bytes(*algorithm));
    if secret.len() >= needed {
        return Ok(());
    }
    Err(format!(
        "is a secret of {} bytes, and {} needs {needed}, as long as its hash (RFC 7518, 3.2), because a shorter one can be \
         guessed from any token; `openssl rand -base64 {needed}` makes one",
        secret.len(),
        longest.map_or("HS", |algorithm| algorithms::name(*algorithm)),
    ))
}

/// Every block is a key; one that is not is a mistake, because it was meant to be.
fn pem(text: &[u8], pinned: &[Algorithm]) -> Result<Vec<VerificationKey>, Vec<String>> {
    let (mut keys, mut problems) = (Vec::new(), Vec::new());
    for label in labels(text) {
        match label {
            "PUBLIC KEY" | "PRIVATE KEY" => {}
            "CERTIFICATE" => problems.push("has a certificate; take its key: `openssl x509 -pubkey -noout`".into()),
            "RSA PUBLIC KEY" => {
                problems.push("has an RSA PUBLIC KEY; convert it: `openssl rsa -RSAPublicKey_in -pubout`".into());
            }
            "EC PRIVATE KEY" | "RSA PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" => problems
                .push("has a private key that is not plain PKCS#8; convert it: `openssl pkcs8 -topk8 -nocrypt`".into()),
            _ => problems.push("has a block that is neither PUBLIC KEY nor PRIVATE KEY; leave it out".into()),
        }
    }
    for block in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
        let key = match block {
            Ok((SectionKind::PublicKey, der)) => Material::public(&der),
            Ok((SectionKind::PrivateKey, der)) => Material::private(&der),
            Ok(_) => continue,
            Err(_) => Err("has a block that is not whole".into()),
        };
        match key.and_then(|key| key.pinned(pinned, None)) {
            Ok(key) => keys.push(key),
            Err(problem) => problems.push(problem),
        }
    }
    if keys.is_empty() && problems.is_empty() {
        problems.push("has no whole PUBLIC KEY or PRIVATE KEY".into());
    }
    if problems.is_empty() { Ok(keys) } else { Err(problems) }
}

/// What stands after each BEGIN.
fn labels(text: &[u8]) -> Vec<&str> {
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let label = |line: &[u8]| line.strip_prefix(BEGIN)?.strip_suffix(b"-----").map(<[u8]>::len);
    lines
        .filter_map(|line| {
            let length = label(line)?;
            std::str::from_utf8(&line[BEGIN.len()..BEGIN.len() + length]).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::testing::TestKey;

    fn problems(text: &str, pinned: &[Algorithm]) -> String {
        read(text.as_bytes(), pinned).expect_err("wrong").join("; ")
    }

    #[test]
    fn a_secret_is_as_long_as_the_hash_at_least() {
        for (algorithm, bytes) in [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)] {
            assert!(read(&vec![b'x'; bytes], &[algorithm]).is_ok());
            let told = problems(&"x".repeat(bytes - 1), &[algorithm]);
            assert!(told.contains(&format!("needs {bytes}")) && !told.contains("xx"), "{told}");
        }
        assert!(problems(&"x".repeat(48), &[Algorithm::HS256, Algorithm::HS512]).contains("HS512"), "of all pinned");
        assert!(problems(&format!("{}\r\n", "x".repeat(31)), &[Algorithm::HS256]).contains("31 bytes"));
    }

    #[test]
    fn a_public_key_is_never_a_secret() {
        for pair in TestKey::all() {
            assert!(problems(&pair.public_pem(), &[Algorithm::HS256]).contains("is PEM"));
        }
    }

    #[test]
    fn a_file_has_several_keys() {
        let [ed, ec, rsa, ..] = TestKey::all() else { panic!("three kinds") };
        let text = format!("# rotation\n{}\n{}\r\n{}", ed.public_pem(), ec.private_pem(), rsa.public_pem());
        let pinned = [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256, Algorithm::PS256];
        let keys = read(text.as_bytes(), &pinned).expect("sound");
        let kinds: Vec<usize> = keys.iter().map(|key| key.algorithms.len()).collect();
        assert_eq!(kinds, [1, 1, 2]);
    }

    #[test]
    fn what_is_no_key_is_told_with_what_to_do() {
        let ed = &TestKey::all()[0];
        for (text, want) in [
            ("x".repeat(64), "neither PEM nor a JWK set"),
            (ed.public_pem().replace("PUBLIC KEY", "CERTIFICATE"), "openssl x509"),
            (ed.public_pem().replace("PUBLIC KEY", "RSA PUBLIC KEY"), "RSAPublicKey_in"),
            (ed.private_pem().replace("PRIVATE KEY", "EC PRIVATE KEY"), "pkcs8 -topk8"),
            (ed.public_pem().replace("PUBLIC KEY", "DH PARAMETERS"), "leave it out"),
            (ed.public_pem().replace("-----END PUBLIC KEY-----", ""), "whole"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".into(), "no public key"),
            (TestKey::all()[1].public_pem(), "is a key for ES256, and algorithms are EdDSA"),
        ] {
            let told = problems(&text, &[Algorithm::EdDSA]);
            assert!(told.contains(want), "{want}: {told}");
        }
    }

    #[test]
    fn no_more_keys_than_the_bound_are_taken() {
        let pem = TestKey::all()[0].public_pem();
        assert_eq!(read(pem.repeat(MAX_KEYS).as_bytes(), &[Algorithm::EdDSA]).expect("sound").len(), MAX_KEYS);
        assert!(problems(&pem.repeat(MAX_KEYS + 1), &[Algorithm::EdDSA]).contains("more than 100 keys"));
    }
}
