//! The outside of a JWT (RFC 7515, compact): its parts and its header, before anybody believes it.
//!
//! `jsonwebtoken` makes and checks signatures. Tokens are taken apart here, because its reader takes a key twice, passes over `crit`,
//! and believes its own clock. Nothing of a header is ever used but to be compared: `jku`, `x5u`, `jwk` and `x5c`, by
//! which a token would bring its own key, are not even looked for.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use jsonwebtoken::Algorithm;
use serde_json::Value;

use super::{Refusal, algorithms, json};

/// A token that may be good. Its claims are not read yet.
pub(super) struct Jwt<'t> {
    /// What it says it is signed with; `None` when that is known to nobody.
    pub algorithm: Option<Algorithm>,
    /// The key that it names.
    pub key_id: Option<String>,
    /// What is signed.
    pub message: &'t [u8],
    /// In base64url, which it is.
    pub signature: &'t str,
    /// Bytes that should be JSON.
    pub claims: Vec<u8>,
}

/// Whether it has the three parts of a JWT, whatever is in them.
pub(super) fn looks_like_one(token: &[u8]) -> bool {
    memchr::memchr_iter(b'.', token).count() == 2
}

/// What is signed of a token: all before its last dot.
pub(super) fn message(token: &[u8]) -> &[u8] {
    memchr::memrchr(b'.', token).map_or(token, |dot| &token[..dot])
}

/// Takes a token apart.
///
/// # Errors
/// When it cannot be good, whatever its signature.
pub(super) fn parse(token: &[u8]) -> Result<Jwt<'_>, Refusal> {
    // Base64url has no other byte, so that what is no UTF-8 is no base64url either.
    let text = std::str::from_utf8(token).map_err(|_| malformed("text", "is no base64url"))?;
    let (front, signature) = text.rsplit_once('.').ok_or(Refusal::Unknown)?;
    let (header, claims) = front.split_once('.').ok_or(Refusal::Unknown)?;
    let decoded = |part, text: &str| match BASE64_URL_SAFE_NO_PAD.decode(text) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        Ok(_) => Err(malformed(part, "is empty")),
        Err(_) => Err(malformed(part, "is no base64url without padding")),
    };
    let header = decoded("header", header)?;
    let claims = decoded("claims", claims)?;
    decoded("signature", signature)?;

    let header = json::object(&header).map_err(|problem| malformed("header", problem))?;
    if header.contains_key("crit") {
        return Err(Refusal::Critical("crit, extensions that must be understood"));
    }
    if header.get("b64").is_some_and(|b64| *b64 != Value::Bool(true)) {
        return Err(Refusal::Critical("b64, claims that are not encoded"));
    }
    let Some(Value::String(algorithm)) = header.get("alg") else {
        return Err(malformed("header", "has no alg that is text"));
    };
    let key_id = match header.get("kid") {
        None => None,
        Some(Value::String(id)) => Some(id.clone()),
        Some(_) => return Err(malformed("header", "has a kid that is no text")),
    };
    let message = front.as_bytes();
    Ok(Jwt { algorithm: algorithms::named(algorithm), key_id, message, signature, claims })
}

fn malformed(part: &'static str, problem: &'static str) -> Refusal {
    Refusal::Malformed { part, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(header: &str) -> String {
        let token = format!("{}.{}.AAAA", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode("{}"));
        parse(token.as_bytes()).err().map(|refusal| refusal.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_header_with_what_is_not_understood_is_refused() {
        assert_eq!(refused(r#"{"alg":"ES256","typ":"at+jwt","kid":"a","b64":true}"#), "");
        for (header, want) in [
            (r#"{"alg":"ES256","crit":["exp"]}"#, "crit"),
            (r#"{"alg":"ES256","crit":[]}"#, "crit"),
            (r#"{"alg":"ES256","b64":false}"#, "b64"),
            (r#"{"alg":"ES256","b64":"x"}"#, "b64"),
            (r#"{"alg":["ES256"]}"#, "no alg"),
            (r#"{"typ":"JWT"}"#, "no alg"),
            (r#"{"alg":"ES256","kid":7}"#, "kid"),
            (r#"{"alg":"none","alg":"ES256"}"#, "a key twice"),
            ("[]", "no JSON object"),
            ("{", "no JSON"),
        ] {
            assert!(refused(header).contains(want), "{header}: {}", refused(header));
        }
    }

    #[test]
    fn a_token_is_written_in_one_way_only() {
        let good = format!("{}.{}.AAAA", BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#), "e30");
        assert!(parse(good.as_bytes()).is_ok());
        let (header, _) = good.split_once('.').expect("three parts");
        for bad in [
            format!("{header}.e30.AAA="), // padding
            format!("{header}.e30.AAB"),  // bits behind the end
            format!("{header}.e31.AAAA"), // the same in the claims: { and }, and one bit more
            format!("{header}.e30.AA+/"), // the other alphabet
            format!("{header}.e30."),     // nothing where a signature should be
            format!("{header}..AAAA"),
            ".e30.AAAA".to_owned(),
            format!("{header}.e30.AAAA "),
            format!(" {header}.e30.AAAA"),
            format!("{header}.e30.AA\nAA"),
            format!("{header}.e30.AAAA\0"),
        ] {
            assert!(matches!(parse(bad.as_bytes()), Err(Refusal::Malformed { .. })), "{bad:?}");
        }
        for other in [format!("{good}."), format!("{good}.AAAA"), "e30.AAAA".to_owned()] {
            assert!(!looks_like_one(other.as_bytes()), "{other}");
        }
        assert!(parse(b"\xff.\xff.\xff").is_err());
    }
}
