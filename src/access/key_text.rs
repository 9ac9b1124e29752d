//! The formats of an operator's keys: a secret, PEM, or a JWK set, which `jwk` parses.
//!
//! The pinned algorithms come first in the choice of the format: PEM is refused for HS, because it would make a public
//! key the secret.

use jsonwebtoken::Algorithm;
use rustls::pki_types::pem::{PemObject, SectionKind};

use super::{
    algorithms, jwk,
    keys::{MAX_KEYS, Material, VerificationKey},
};

/// Parses the keys in `text`, for an issuer that has `pinned` these algorithms.
///
/// # Errors
/// Every mistake, in words that follow the name of the key or its file. None repeats any of the text.
pub(super) fn read(text: &[u8], pinned: &[Algorithm]) -> Result<Vec<VerificationKey>, Vec<String>> {
    let is_pem = text.windows(BEGIN.len()).any(|window| window == BEGIN);
    let is_json = text.trim_ascii_start().starts_with(b"{");
    let keys = match (pinned.iter().any(|algorithm| algorithms::is_symmetric(*algorithm)), is_pem, is_json) {
        (true, true, _) => Err(vec![
            "is PEM, but an HS algorithm needs a secret; with a public key as the secret everybody could sign".into(),
        ]),
        (_, false, true) => jwk::parse_configured(text, pinned),
        (true, false, false) => secret(text, pinned).map(|key| vec![key]).map_err(|problem| vec![problem]),
        (false, true, _) => pem(text, pinned),
        (false, false, false) => Err(vec!["is neither PEM nor a JWK set, and the algorithms need one of them".into()]),
    }?;
    if keys.len() > MAX_KEYS {
        return Err(vec![format!("has more than {MAX_KEYS} keys; remove those that are no longer used")]);
    }
    Ok(keys)
}

const BEGIN: &[u8] = b"-----BEGIN ";

/// A secret: the bytes of the text, without the line break that editors put at the end of a file.
fn secret(text: &[u8], pinned: &[Algorithm]) -> Result<VerificationKey, String> {
    let text = text.strip_suffix(b"\n").map_or(text, |text| text.strip_suffix(b"\r").unwrap_or(text));
    algorithms::check_secret_length(text, pinned)?;
    Material::secret(text).pinned(pinned, None)
}

/// Parses PEM. Every block must be a key of a supported format.
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
            _ => problems.push("has a block that is neither PUBLIC KEY nor PRIVATE KEY; remove it".into()),
        }
    }
    for block in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
        let key = match block {
            Ok((SectionKind::PublicKey, der)) => Material::public(&der),
            Ok((SectionKind::PrivateKey, der)) => Material::private(&der),
            Ok(_) => continue,
            Err(_) => Err("has an incomplete block".into()),
        };
        match key.and_then(|key| key.pinned(pinned, None)) {
            Ok(key) => keys.push(key),
            Err(problem) => problems.push(problem),
        }
    }
    if keys.is_empty() && problems.is_empty() {
        problems.push("has no complete PUBLIC KEY or PRIVATE KEY".into());
    }
    if problems.is_empty() { Ok(keys) } else { Err(problems) }
}

/// The label of each BEGIN line.
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
    fn a_secret_must_be_as_long_as_the_hash() {
        for (algorithm, bytes) in [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)] {
            assert!(read(&vec![b'x'; bytes], &[algorithm]).is_ok());
            let error = problems(&"x".repeat(bytes - 1), &[algorithm]);
            assert!(error.contains(&format!("needs {bytes}")) && !error.contains("xx"), "{error}");
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
    fn a_file_may_have_several_keys() {
        let [ed, ec, rsa, ..] = TestKey::all() else { panic!("three kinds") };
        let text = format!("# rotation\n{}\n{}\r\n{}", ed.public_pem(), ec.private_pem(), rsa.public_pem());
        let pinned = [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256, Algorithm::PS256];
        let keys = read(text.as_bytes(), &pinned).expect("sound");
        let kinds: Vec<usize> = keys.iter().map(|key| key.algorithms.len()).collect();
        assert_eq!(kinds, [1, 1, 2]);
    }

    #[test]
    fn an_invalid_key_is_refused_with_what_to_do() {
        let ed = &TestKey::all()[0];
        for (text, want) in [
            ("x".repeat(64), "neither PEM nor a JWK set"),
            (ed.public_pem().replace("PUBLIC KEY", "CERTIFICATE"), "openssl x509"),
            (ed.public_pem().replace("PUBLIC KEY", "RSA PUBLIC KEY"), "RSAPublicKey_in"),
            (ed.private_pem().replace("PRIVATE KEY", "EC PRIVATE KEY"), "pkcs8 -topk8"),
            (ed.public_pem().replace("PUBLIC KEY", "DH PARAMETERS"), "remove it"),
            (ed.public_pem().replace("-----END PUBLIC KEY-----", ""), "complete"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".into(), "not a supported public key"),
            (TestKey::all()[1].public_pem(), "is a key for ES256, but algorithms are EdDSA"),
        ] {
            let error = problems(&text, &[Algorithm::EdDSA]);
            assert!(error.contains(want), "{want}: {error}");
        }
    }

    #[test]
    fn the_number_of_keys_is_bounded() {
        let pem = TestKey::all()[0].public_pem();
        assert_eq!(read(pem.repeat(MAX_KEYS).as_bytes(), &[Algorithm::EdDSA]).expect("sound").len(), MAX_KEYS);
        assert!(problems(&pem.repeat(MAX_KEYS + 1), &[Algorithm::EdDSA]).contains("more than 100 keys"));
    }
}
