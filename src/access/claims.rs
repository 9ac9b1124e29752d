//! What a JWT claims, once its signature is known to be good.

use serde_json::{Map, Value};

use super::{Grant, Refusal, json, refusal::quoted};
use crate::event::Filter;

/// Patterns of each kind in one token at most. A token that needs more names them one by one where a pattern would do; each is
/// compared at each request.
const MAX_PATTERNS: usize = 100;

/// The last second that RFC 3339 can write, 9999-12-31T23:59:59Z: whatever ends later ends then, and no sum overflows.
const END_OF_TIME: u64 = 253_402_300_799;

/// What the claims must be.
pub(super) struct Wanted<'w> {
    pub issuer: &'w str,
    pub audience: &'w str,
    /// Seconds that clocks may differ.
    pub leeway: u64,
    /// Seconds since 1970.
    pub now: u64,
}

/// What the claims are.
#[derive(Default)]
pub(super) struct Claims {
    /// Everything that is wrong with them, first what makes the token another's.
    pub wrong: Vec<Refusal>,
    /// What it opens; nothing without the claim `gapless`.
    pub grant: Grant,
    /// When it is good no more, leeway included.
    pub expires: u64,
    /// `jti`.
    pub id: Option<Box<str>>,
    /// `sub`.
    pub subject: Option<Box<str>>,
}

impl Claims {
    /// Whether they are meant for the issuer and audience that were asked about.
    pub(super) fn are_ours(&self) -> bool {
        !self.wrong.iter().any(|refusal| matches!(refusal, Refusal::Issuer { .. } | Refusal::Audience { .. }))
    }
}

/// Reads `bytes` and holds them against `wanted`.
///
/// # Errors
/// When they are no claims at all.
pub(super) fn read(bytes: &[u8], wanted: &Wanted<'_>) -> Result<Claims, Refusal> {
    let object = json::object(bytes).map_err(|problem| Refusal::Malformed { part: "claims", problem })?;
    let mut claims = Claims::default();
    if object.get("iss").and_then(Value::as_str) != Some(wanted.issuer) {
        claims.wrong.push(Refusal::Issuer { wanted: wanted.issuer.into() });
    }
    if !is_for(object.get("aud"), wanted.audience) {
        claims.wrong.push(Refusal::Audience { wanted: wanted.audience.into() });
    }
    claims.times(&object, wanted);
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
    fn times(&mut self, object: &Map<String, Value>, wanted: &Wanted<'_>) {
        let Wanted { leeway, now, .. } = *wanted;
        match (object.get("exp"), object.get("exp").and_then(|time| seconds(time, f64::floor))) {
            (None, _) => self.wrong.push(Refusal::NoExpiry),
            (_, None) => self.claim("exp", NO_TIME),
            (_, Some(at)) => {
                self.expires = at.saturating_add(leeway);
                if self.expires <= now {
                    self.wrong.push(Refusal::Expired { at });
                }
            }
        }
        match (object.get("nbf"), object.get("nbf").and_then(|time| seconds(time, f64::ceil))) {
            (None, _) => {}
            (_, None) => self.claim("nbf", NO_TIME),
            (_, Some(from)) if from > now.saturating_add(leeway) => self.wrong.push(Refusal::NotYet { from }),
            _ => {}
        }
    }

    fn text(&mut self, object: &Map<String, Value>, name: &str) -> Option<Box<str>> {
        match object.get(name) {
            None => None,
            Some(Value::String(text)) => Some(text.as_str().into()),
            Some(_) => {
                self.claim(name, "must be text");
                None
            }
        }
    }

    fn grant(&mut self, value: &Value) {
        let Value::Object(object) = value else { return self.claim("gapless", "must be an object") };
        for (name, value) in object {
            match name.as_str() {
                "publish" => self.grant.publish = self.patterns("gapless.publish", value),
                "subscribe" => self.grant.subscribe = self.patterns("gapless.subscribe", value),
                "admin" => match value {
                    Value::Bool(admin) => self.grant.admin = *admin,
                    _ => self.claim("gapless.admin", "must be true or false"),
                },
                // It may have been meant to take something away.
                _ => self.claim(
                    "gapless",
                    format!("has {}, which means nothing here; known are publish, subscribe and admin", quoted(name)),
                ),
            }
        }
    }

    fn patterns(&mut self, claim: &str, value: &Value) -> Vec<Filter> {
        let Value::Array(items) = value else {
            self.claim(claim, "must be a list of topics and patterns");
            return Vec::new();
        };
        if items.len() > MAX_PATTERNS {
            self.claim(claim, format!("has more than {MAX_PATTERNS} items; use patterns, as in jobs/*"));
            return Vec::new();
        }
        let mut filters = Vec::new();
        for item in items {
            match item.as_str().map(|text| (text, Filter::new(text))) {
                Some((_, Ok(filter))) => filters.push(filter),
                Some((text, Err(error))) => self.claim(claim, format!("has {}: {error}", quoted(text))),
                None => self.claim(claim, "has an item that is no text"),
            }
        }
        filters
    }

    fn claim(&mut self, name: &str, problem: impl Into<Box<str>>) {
        self.wrong.push(Refusal::Claim { claim: name.into(), problem: problem.into() });
    }
}

const NO_TIME: &str = "must be a number, of seconds since 1970";

/// RFC 7519 calls it NumericDate: seconds since 1970, which may have a fraction. Before 1970 is 1970.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates, which is wanted")]
fn seconds(value: &Value, whole: fn(f64) -> f64) -> Option<u64> {
    let Value::Number(number) = value else { return None };
    let seconds = number.as_u64().or_else(|| number.as_f64().map(|seconds| whole(seconds) as u64))?;
    Some(seconds.min(END_OF_TIME))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::access::testing::{AUDIENCE, ISSUER, NOW, claims, claims_with};

    fn judged(claims: &Value) -> Claims {
        let wanted = Wanted { issuer: ISSUER, audience: AUDIENCE, leeway: 5, now: NOW };
        read(claims.to_string().as_bytes(), &wanted).expect("an object")
    }

    fn wrong(name: &str, value: Value) -> Vec<Refusal> {
        judged(&claims_with(name, Some(value))).wrong
    }

    #[test]
    fn what_is_claimed_is_what_is_opened() {
        let claims = judged(&claims());
        assert_eq!(claims.wrong, []);
        assert_eq!((claims.expires, claims.subject.as_deref()), (NOW + 65, Some("ann")));
        assert_eq!((claims.grant.publish.len(), claims.grant.subscribe.len(), claims.grant.admin), (1, 1, false));
        let nothing = judged(&claims_with("gapless", None));
        assert_eq!((nothing.wrong.len(), nothing.grant), (0, Grant::default()), "without the claim, nothing");
        assert!(judged(&claims_with("gapless", Some(json!({ "admin": true })))).grant.admin);
    }

    #[test]
    fn a_token_without_an_end_is_refused() {
        assert_eq!(judged(&claims_with("exp", None)).wrong, [Refusal::NoExpiry]);
        for value in [json!("1795233999"), json!(null), json!([NOW + 60]), json!(true)] {
            assert!(matches!(&wrong("exp", value)[..], [Refusal::Claim { claim, .. }] if &**claim == "exp"));
        }
    }

    #[test]
    fn a_token_ends_at_its_end_and_not_before() {
        assert_eq!(wrong("exp", json!(NOW - 4)), [], "within the leeway");
        assert_eq!(wrong("exp", json!(NOW - 5)), [Refusal::Expired { at: NOW - 5 }]);
        assert_eq!(wrong("exp", json!(-1)), [Refusal::Expired { at: 0 }]);
        assert_eq!(wrong("exp", json!(-1e300)), [Refusal::Expired { at: 0 }]);
        assert_eq!(
            wrong("exp", serde_json::from_str("1795233955.9").expect("a float")),
            [Refusal::Expired { at: NOW - 5 }]
        );
        for huge in [json!(u64::MAX), json!(1e300), json!(i64::MAX)] {
            assert_eq!(judged(&claims_with("exp", Some(huge))).expires, END_OF_TIME + 5, "no sum overflows");
        }
    }

    #[test]
    fn a_token_begins_when_it_says() {
        assert_eq!(wrong("nbf", json!(NOW + 5)), [], "within the leeway");
        assert_eq!(wrong("nbf", json!(NOW + 6)), [Refusal::NotYet { from: NOW + 6 }]);
        assert_eq!(
            wrong("nbf", serde_json::from_str("1795233965.1").expect("a float")),
            [Refusal::NotYet { from: NOW + 6 }]
        );
        assert!(matches!(&wrong("nbf", json!("now"))[..], [Refusal::Claim { claim, .. }] if &**claim == "nbf"));
    }

    #[test]
    fn issuer_and_audience_are_compared_whole() {
        for iss in [json!("https://login.example/"), json!("HTTPS://login.example"), json!([ISSUER]), json!(null)] {
            assert_eq!(wrong("iss", iss.clone()), [Refusal::Issuer { wanted: ISSUER.into() }], "{iss}");
        }
        assert_eq!(judged(&claims_with("iss", None)).wrong.len(), 1);
        assert_eq!(wrong("aud", json!(["other", AUDIENCE])), []);
        for aud in [json!("other"), json!("gapless2"), json!(["other"]), json!([]), json!([AUDIENCE, 7]), json!({})] {
            assert_eq!(wrong("aud", aud.clone()), [Refusal::Audience { wanted: AUDIENCE.into() }], "{aud}");
        }
        assert_eq!(judged(&claims_with("aud", None)).wrong.len(), 1);
    }

    #[test]
    fn a_grant_that_is_not_understood_opens_nothing() {
        for (gapless, want) in [
            (json!({ "publish": ["jobs*"] }), "gapless.publish has \"jobs*\""),
            (json!({ "subscribe": ["a", "b\r\nc"] }), r#"gapless.subscribe has "b\r\nc""#),
            (json!({ "publish": "jobs/*" }), "gapless.publish must be a list"),
            (json!({ "publish": [7] }), "gapless.publish has an item that is no text"),
            (json!({ "admin": 1 }), "gapless.admin must be true or false"),
            (json!({ "publsh": ["a"] }), "gapless has \"publsh\", which means nothing"),
            (json!(["jobs/*"]), "gapless must be an object"),
            (json!(null), "gapless must be an object"),
            (json!({ "subscribe": vec!["a"; 101] }), "gapless.subscribe has more than 100"),
        ] {
            let told = wrong("gapless", gapless.clone());
            assert!(told.len() == 1 && told[0].to_string().contains(want), "{want}: {told:?}");
        }
        assert_eq!(wrong("gapless", json!({ "subscribe": vec!["a"; 100] })), []);
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let claims = json!({ "exp": 1, "nbf": NOW + 100, "sub": 7, "gapless": { "x": 1, "admin": "yes" } });
        assert_eq!(judged(&claims).wrong.len(), 7, "iss, aud, exp, nbf, sub, and two of gapless");
    }
}
