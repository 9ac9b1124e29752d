//! The claims of a JWT whose signature was verified.

use serde_json::{Map, Value};

use std::fmt::Display;

use super::{Grant, Refusal, RelayGrant, json, refusal::quoted};
use crate::event::Filter;

/// Most filters of each kind in one token, because each request is compared with all of them. Patterns replace long
/// lists of topics.
const MAX_PATTERNS: usize = 100;

/// The last second that RFC 3339 can write, 9999-12-31T23:59:59Z. Later times are clamped to it, so that no sum
/// overflows.
const END_OF_TIME: u64 = 253_402_300_799;

/// The required claims.
pub(super) struct ExpectedClaims<'w> {
    pub issuer: &'w str,
    pub audience: &'w str,
    /// Tolerated clock difference, in seconds.
    pub leeway: u64,
    /// Seconds since 1970.
    pub now: u64,
}

/// Parsed claims.
#[derive(Default)]
pub(super) struct Claims {
    /// Everything that is wrong with them; a wrong issuer or audience comes first.
    pub refusals: Vec<Refusal>,
    /// The permissions; none without the claim `gapless`.
    pub grant: Grant,
    /// When the token expires, in seconds since 1970, leeway included.
    pub expires: u64,
    /// `jti`.
    pub id: Option<Box<str>>,
    /// `sub`.
    pub subject: Option<Box<str>>,
}

impl Claims {
    /// Whether issuer and audience are the expected ones.
    pub(super) fn match_expected(&self) -> bool {
        !self.refusals.iter().any(|refusal| matches!(refusal, Refusal::Issuer { .. } | Refusal::Audience { .. }))
    }
}

/// Parses `bytes` and compares them with `expected`.
///
/// # Errors
/// When they are not a JSON object.
pub(super) fn read(bytes: &[u8], expected: &ExpectedClaims<'_>) -> Result<Claims, Refusal> {
    let object = json::object(bytes).map_err(|problem| Refusal::Malformed { part: "claims", problem })?;
    let mut claims = Claims::default();
    if object.get("iss").and_then(Value::as_str) != Some(expected.issuer) {
        claims.refusals.push(Refusal::Issuer { expected: expected.issuer.into() });
    }
    if !is_for(object.get("aud"), expected.audience) {
        claims.refusals.push(Refusal::Audience { expected: expected.audience.into() });
    }
    claims.times(&object, expected);
    claims.id = claims.text(&object, "jti");
    claims.subject = claims.text(&object, "sub");
    if let Some(value) = object.get("gapless") {
        claims.grant(value);
    }
    Ok(claims)
}

/// RFC 7519, 4.1.3: one audience, or a list of them.
fn is_for(claim: Option<&Value>, audience: &str) -> bool {
    match claim {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(all)) => {
            all.iter().all(Value::is_string) && all.iter().any(|one| one.as_str() == Some(audience))
        }
        _ => false,
    }
}

impl Claims {
    fn times(&mut self, object: &Map<String, Value>, expected: &ExpectedClaims<'_>) {
        let ExpectedClaims { leeway, now, .. } = *expected;
        match (object.get("exp"), object.get("exp").and_then(|time| seconds(time, f64::floor))) {
            (None, _) => self.refusals.push(Refusal::NoExpiry),
            (_, None) => self.claim("exp", NOT_A_TIME),
            (_, Some(at)) => {
                self.expires = at.saturating_add(leeway);
                if self.expires <= now {
                    self.refusals.push(Refusal::Expired { at });
                }
            }
        }
        match (object.get("nbf"), object.get("nbf").and_then(|time| seconds(time, f64::ceil))) {
            (None, _) => {}
            (_, None) => self.claim("nbf", NOT_A_TIME),
            (_, Some(from)) if from > now.saturating_add(leeway) => self.refusals.push(Refusal::NotYet { from }),
            _ => {}
        }
    }

    fn text(&mut self, object: &Map<String, Value>, name: &str) -> Option<Box<str>> {
        match object.get(name) {
            None => None,
            Some(Value::String(text)) => Some(text.as_str().into()),
            Some(_) => {
                self.claim(name, "must be a string");
                None
            }
        }
    }

    fn grant(&mut self, value: &Value) {
        let Value::Object(object) = value else { return self.claim("gapless", "must be an object") };
        for (name, value) in object {
            match name.as_str() {
                "publish" => self.grant.publish = self.patterns("gapless.publish", value, TOPICS, Filter::new),
                "subscribe" => self.grant.subscribe = self.patterns("gapless.subscribe", value, TOPICS, Filter::new),
                "relay" => self.grant.relay = self.patterns("gapless.relay", value, PROVIDERS, RelayGrant::new),
                "admin" => match value {
                    Value::Bool(admin) => self.grant.admin = *admin,
                    _ => self.claim("gapless.admin", "must be true or false"),
                },
                // An unknown member may have been meant as a restriction, so it is not ignored.
                _ => self.claim(
                    "gapless",
                    format!(
                        "has {}, which is unknown; the known ones are publish, subscribe, relay and admin",
                        quoted(name)
                    ),
                ),
            }
        }
    }

    /// A list of `what`, each read by `parse`.
    fn patterns<T, E: Display>(
        &mut self,
        claim: &str,
        value: &Value,
        what: &str,
        parse: fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let Value::Array(items) = value else {
            self.claim(claim, format!("must be a list of {what}"));
            return Vec::new();
        };
        if items.len() > MAX_PATTERNS {
            self.claim(claim, format!("has more than {MAX_PATTERNS} items; use patterns, as in jobs/*"));
            return Vec::new();
        }
        let mut patterns = Vec::new();
        for item in items {
            match item.as_str().map(|text| (text, parse(text))) {
                Some((_, Ok(pattern))) => patterns.push(pattern),
                Some((text, Err(error))) => self.claim(claim, format!("has {}: {error}", quoted(text))),
                None => self.claim(claim, "has an item that is not a string"),
            }
        }
        patterns
    }

    fn claim(&mut self, name: &str, problem: impl Into<Box<str>>) {
        self.refusals.push(Refusal::Claim { claim: name.into(), problem: problem.into() });
    }
}

const TOPICS: &str = "topics and patterns";
const PROVIDERS: &str = "providers and models";
const NOT_A_TIME: &str = "must be a number of seconds since 1970";

/// A NumericDate (RFC 7519): seconds since 1970, perhaps with a fraction. Times before 1970 are clamped to 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates, as intended")]
pub(super) fn seconds(value: &Value, whole: fn(f64) -> f64) -> Option<u64> {
    let Value::Number(number) = value else { return None };
    let seconds = number.as_u64().or_else(|| number.as_f64().map(|seconds| whole(seconds) as u64))?;
    Some(seconds.min(END_OF_TIME))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::access::testing::{AUDIENCE, ISSUER, NOW, claims, claims_with};

    fn parsed(claims: &Value) -> Claims {
        let expected = ExpectedClaims { issuer: ISSUER, audience: AUDIENCE, leeway: 5, now: NOW };
        read(claims.to_string().as_bytes(), &expected).expect("an object")
    }

    fn refusals(name: &str, value: Value) -> Vec<Refusal> {
        parsed(&claims_with(name, Some(value))).refusals
    }

    #[test]
    fn the_claims_become_the_grant() {
        let claims = parsed(&claims());
        assert_eq!(claims.refusals, []);
        assert_eq!((claims.expires, claims.subject.as_deref()), (NOW + 65, Some("ann")));
        assert_eq!((claims.grant.publish.len(), claims.grant.subscribe.len(), claims.grant.admin), (1, 1, false));
        let nothing = parsed(&claims_with("gapless", None));
        assert_eq!((nothing.refusals.len(), nothing.grant), (0, Grant::default()), "without the claim, nothing");
        assert!(parsed(&claims_with("gapless", Some(json!({ "admin": true })))).grant.admin);
        let relay = parsed(&claims_with("gapless", Some(json!({ "relay": ["ollama", "openai/gpt-*"] }))));
        assert_eq!(relay.refusals, []);
        assert!(relay.grant.may_relay("openai", Some("gpt-5")) && !relay.grant.may_relay("openai", Some("o1")));
    }

    #[test]
    fn a_token_without_an_expiry_is_refused() {
        assert_eq!(parsed(&claims_with("exp", None)).refusals, [Refusal::NoExpiry]);
        for value in [json!("1795233999"), json!(null), json!([NOW + 60]), json!(true)] {
            assert!(matches!(&refusals("exp", value)[..], [Refusal::Claim { claim, .. }] if &**claim == "exp"));
        }
    }

    #[test]
    fn a_token_expires_at_exp_and_not_before() {
        assert_eq!(refusals("exp", json!(NOW - 4)), [], "within the leeway");
        assert_eq!(refusals("exp", json!(NOW - 5)), [Refusal::Expired { at: NOW - 5 }]);
        assert_eq!(refusals("exp", json!(-1)), [Refusal::Expired { at: 0 }]);
        assert_eq!(refusals("exp", json!(-1e300)), [Refusal::Expired { at: 0 }]);
        assert_eq!(
            refusals("exp", serde_json::from_str("1795233955.9").expect("a float")),
            [Refusal::Expired { at: NOW - 5 }]
        );
        for huge in [json!(u64::MAX), json!(1e300), json!(i64::MAX)] {
            assert_eq!(parsed(&claims_with("exp", Some(huge))).expires, END_OF_TIME + 5, "no sum overflows");
        }
    }

    #[test]
    fn a_token_is_valid_from_nbf() {
        assert_eq!(refusals("nbf", json!(NOW + 5)), [], "within the leeway");
        assert_eq!(refusals("nbf", json!(NOW + 6)), [Refusal::NotYet { from: NOW + 6 }]);
        assert_eq!(
            refusals("nbf", serde_json::from_str("1795233965.1").expect("a float")),
            [Refusal::NotYet { from: NOW + 6 }]
        );
        assert!(matches!(&refusals("nbf", json!("now"))[..], [Refusal::Claim { claim, .. }] if &**claim == "nbf"));
    }

    #[test]
    fn issuer_and_audience_are_compared_whole() {
        for iss in [json!("https://login.example/"), json!("HTTPS://login.example"), json!([ISSUER]), json!(null)] {
            assert_eq!(refusals("iss", iss.clone()), [Refusal::Issuer { expected: ISSUER.into() }], "{iss}");
        }
        assert_eq!(parsed(&claims_with("iss", None)).refusals.len(), 1);
        assert_eq!(refusals("aud", json!(["other", AUDIENCE])), []);
        for aud in [json!("other"), json!("gapless2"), json!(["other"]), json!([]), json!([AUDIENCE, 7]), json!({})] {
            assert_eq!(refusals("aud", aud.clone()), [Refusal::Audience { expected: AUDIENCE.into() }], "{aud}");
        }
        assert_eq!(parsed(&claims_with("aud", None)).refusals.len(), 1);
    }

    #[test]
    fn a_grant_that_is_not_understood_is_refused() {
        for (gapless, want) in [
            (json!({ "publish": ["jobs*"] }), "gapless.publish has \"jobs*\""),
            (json!({ "subscribe": ["a", "b\r\nc"] }), r#"gapless.subscribe has "b\r\nc""#),
            (json!({ "publish": "jobs/*" }), "gapless.publish must be a list"),
            (json!({ "publish": [7] }), "gapless.publish has an item that is not a string"),
            (json!({ "relay": ["Open AI"] }), "gapless.relay has \"Open AI\": is not a provider or provider/model"),
            (json!({ "relay": "openai" }), "gapless.relay must be a list of providers and models"),
            (json!({ "relay": vec!["openai"; 101] }), "gapless.relay has more than 100"),
            (json!({ "admin": 1 }), "gapless.admin must be true or false"),
            (json!({ "publsh": ["a"] }), "gapless has \"publsh\", which is unknown"),
            (json!(["jobs/*"]), "gapless must be an object"),
            (json!(null), "gapless must be an object"),
            (json!({ "subscribe": vec!["a"; 101] }), "gapless.subscribe has more than 100"),
        ] {
            let found = refusals("gapless", gapless.clone());
            assert!(found.len() == 1 && found[0].to_string().contains(want), "{want}: {found:?}");
        }
        assert_eq!(refusals("gapless", json!({ "subscribe": vec!["a"; 100] })), []);
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let claims = json!({ "exp": 1, "nbf": NOW + 100, "sub": 7, "gapless": { "x": 1, "admin": "yes" } });
        assert_eq!(parsed(&claims).refusals.len(), 7, "iss, aud, exp, nbf, sub, and two of gapless");
    }
}
