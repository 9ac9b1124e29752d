//! Parsing of a JWT (RFC 7515, compact serialization): its parts and its header, before its signature is verified.
//!
//! `jsonwebtoken` makes and verifies signatures. Tokens are parsed here, because its parser accepts duplicate keys,
//! ignores `crit`, and uses the machine's clock. Header fields are only compared. `jku`, `x5u`, `jwk` and `x5c`, with
//! which a token would bring its own key, are not read.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use jsonwebtoken::Algorithm;
use serde_json::Value;

use super::{Refusal, algorithms, json};

/// A well-formed token. Its signature is not verified, and its claims are not parsed.
pub(super) struct Jwt<'t> {
    /// The header's `alg`; `None` when it is unknown.
    pub algorithm: Option<Algorithm>,
    /// The header's `typ`, if it is a string.
    pub kind: Option<String>,
    /// The header's `kid`.
    pub key_id: Option<String>,
    /// The signed text: all before the last dot.
    pub message: &'t [u8],
    /// Valid base64url, not decoded.
    pub signature: &'t str,
    /// Decoded bytes, not yet parsed as JSON.
    pub claims: Vec<u8>,
}

/// Whether it has the three parts of a JWT, valid or not.
pub(super) fn has_three_parts(token: &[u8]) -> bool {
    memchr::memchr_iter(b'.', token).count() == 2
}

/// The signed text of a token: all before its last dot.
pub(super) fn message(token: &[u8]) -> &[u8] {
    memchr::memrchr(b'.', token).map_or(token, |dot| &token[..dot])
}

/// Parses a token.
///
/// # Errors
/// When it is malformed, or needs an extension that is not supported.
pub(super) fn parse(token: &[u8]) -> Result<Jwt<'_>, Refusal> {
    // Base64url is ASCII, so text that is not UTF-8 is not base64url either.
    let text = std::str::from_utf8(token).map_err(|_| malformed("text", "is not base64url"))?;
    let (front, signature) = text.rsplit_once('.').ok_or(Refusal::Unknown)?;
    let (header, claims) = front.split_once('.').ok_or(Refusal::Unknown)?;
    let decoded = |part, text: &str| match BASE64_URL_SAFE_NO_PAD.decode(text) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        Ok(_) => Err(malformed(part, "is empty")),
        Err(_) => Err(malformed(part, "is not base64url without padding")),
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
        return Err(malformed("header", "has no alg, or one that is not a string"));
    };
    let key_id = match header.get("kid") {
        None => None,
        Some(Value::String(id)) => Some(id.clone()),
        Some(_) => return Err(malformed("header", "has a kid that is not a string")),
    };
    let (message, kind) = (front.as_bytes(), header.get("typ").and_then(Value::as_str).map(Into::into));
    Ok(Jwt { algorithm: algorithms::named(algorithm), kind, key_id, message, signature, claims })
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
    fn a_header_that_is_not_understood_is_refused() {
        assert_eq!(refused(r#"{"alg":"ES256","typ":"at+jwt","kid":"a","b64":true}"#), "");
        for (header, want) in [
            (r#"{"alg":"ES256","crit":["exp"]}"#, "crit"),
            (r#"{"alg":"ES256","crit":[]}"#, "crit"),
            (r#"{"alg":"ES256","b64":false}"#, "b64"),
            (r#"{"alg":"ES256","b64":"x"}"#, "b64"),
            (r#"{"alg":["ES256"]}"#, "no alg"),
            (r#"{"typ":"JWT"}"#, "no alg"),
            (r#"{"alg":"ES256","kid":7}"#, "kid"),
            (r#"{"alg":"none","alg":"ES256"}"#, "a duplicate key"),
            ("[]", "not a JSON object"),
            ("{", "not JSON"),
        ] {
            assert!(refused(header).contains(want), "{header}: {}", refused(header));
        }
    }

    #[test]
    fn a_token_has_exactly_one_accepted_form() {
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
            assert!(!has_three_parts(other.as_bytes()), "{other}");
        }
        assert!(parse(b"\xff.\xff.\xff").is_err());
    }
}
