//! What a token of Mercure permits, in both dialects.
//!
//! | dialect | claim | grants |
//! |---|---|---|
//! | 0 | `mercure`, or `https://mercure.rocks/`, which counts if it is there | texts and URI templates |
//! | 1 | `authorization_details` (RFC 9396), in a token of the type `at+jwt` | texts and URL patterns |

use std::sync::Arc;

use serde_json::{Map, Value};
use url::Url;

use super::{
    payloads::{DetailPayload, Payloads, payload},
    selector::{Selector, SelectorSet},
};

/// The type of the authorization details that are Mercure's.
pub const DETAIL_TYPE: &str = "https://mercure.rocks/authorization-detail";

/// The claims of dialect 0; of two, the first counts.
const CLAIMS: [&str; 2] = ["https://mercure.rocks/", "mercure"];

/// Details of one token at most, and topics of all of them together.
const MAX_DETAILS: usize = 100;

/// Topics of one list of dialect 0 at most. A token has at most 8 KiB.
const MAX_SELECTORS: usize = 1000;

/// What a token permits.
#[derive(Debug, Default)]
pub struct MercureGrant {
    /// The topics that it may publish to.
    pub publish: SelectorSet,
    /// The topics whose private updates it may read.
    pub subscribe: Arc<SelectorSet>,
    /// What it says of its subscriptions to others, if that was asked for.
    pub payloads: Payloads,
    /// Whether it is of dialect 1.
    pub of_dialect_1: bool,
}

/// The claims that a token of dialect 1 must have.
#[derive(Debug, Clone)]
pub struct ExpectedIssuer {
    /// Its `iss`; `None` when the hub takes no tokens of dialect 1.
    pub issuer: Option<Box<str>>,
    /// The URL of the hub: its `aud`, and what relative patterns are relative to.
    pub hub: Url,
}

/// What is wrong with a token whose signature is right, in words that follow "the token".
pub type WrongClaim = String;

impl MercureGrant {
    /// The grant of a token whose signature and times are right: its `typ`, and its claims. Payloads are read only
    /// `with_payloads`.
    ///
    /// # Errors
    /// What is wrong with the claims; the token is then worth nothing.
    pub fn read(
        kind: Option<&str>,
        claims: &Map<String, Value>,
        expected: &ExpectedIssuer,
        with_payloads: bool,
    ) -> Result<Self, WrongClaim> {
        match claims.get("authorization_details") {
            Some(details) if is_access_token(kind) => {
                check_issuer(claims, expected)?;
                read_details(details, &expected.hub, with_payloads)
            }
            _ => read_claim(claims, with_payloads),
        }
    }
}

/// RFC 9068, 2.1: the type of an access token.
fn is_access_token(kind: Option<&str>) -> bool {
    kind.is_some_and(|kind| ["at+jwt", "application/at+jwt"].iter().any(|known| kind.eq_ignore_ascii_case(known)))
}

fn check_issuer(claims: &Map<String, Value>, expected: &ExpectedIssuer) -> Result<(), WrongClaim> {
    let Some(issuer) = expected.issuer.as_deref() else {
        return Err("is of dialect 1, whose issuer the operator has not named in mercure.issuer".into());
    };
    if claims.get("iss").and_then(Value::as_str) != Some(issuer) {
        return Err("has another claim iss than mercure.issuer".into());
    }
    let hub = expected.hub.as_str();
    let ours = match claims.get("aud") {
        Some(Value::String(one)) => one == hub,
        Some(Value::Array(all)) => all.iter().all(Value::is_string) && all.iter().any(|one| one.as_str() == Some(hub)),
        _ => false,
    };
    if !ours {
        return Err("is not for this hub: its claim aud is not mercure.url".into());
    }
    if claims.contains_key("exp") { Ok(()) } else { Err("has no claim exp and would never expire".into()) }
}

fn read_details(details: &Value, hub: &Url, with_payloads: bool) -> Result<MercureGrant, WrongClaim> {
    let Value::Array(details) = details else { return Err("has authorization_details that are no list".into()) };
    let mine = details.iter().filter(|detail| detail.get("type").and_then(Value::as_str) == Some(DETAIL_TYPE));
    let (mut publish, mut subscribe, mut payloads, mut topics) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for (count, detail) in mine.enumerate() {
        let list = detail.get("topics").and_then(Value::as_array).ok_or("has a detail without a list of topics")?;
        topics += list.len();
        if count >= MAX_DETAILS || topics > MAX_DETAILS {
            return Err(format!("has more than {MAX_DETAILS} details or topics of Mercure"));
        }
        let actions = match detail.get("actions") {
            Some(Value::Array(actions)) => actions.iter().filter_map(Value::as_str).collect::<Vec<_>>(),
            _ => return Err("has a detail without a list of actions".into()),
        };
        for (action, selectors) in [("publish", &mut publish), ("subscribe", &mut subscribe)] {
            for topic in list {
                let selector = read_matcher(topic, hub)?;
                if actions.contains(&action) {
                    selectors.push(selector);
                }
            }
        }
        if with_payloads && actions.contains(&"subscribe") {
            payloads.push(read_payload(detail, list, hub)?);
        }
    }
    let payloads = if payloads.is_empty() { Payloads::None } else { Payloads::ByMatcher(payloads.into()) };
    Ok(MercureGrant { publish: SelectorSet::new(publish), subscribe: set(subscribe), payloads, of_dialect_1: true })
}

/// The payload of a detail with these topics.
fn read_payload(detail: &Value, topics: &[Value], hub: &Url) -> Result<DetailPayload, WrongClaim> {
    let payload = match detail.get("payload") {
        None => None,
        Some(object @ Value::Object(_)) => Some(payload(object)),
        Some(_) => return Err("has a payload that is no object".into()),
    };
    let topics = topics.iter().map(|topic| read_matcher(topic, hub)).collect::<Result<_, _>>()?;
    Ok(DetailPayload { topics: SelectorSet::new(topics), payload })
}

fn read_matcher(topic: &Value, hub: &Url) -> Result<Selector, WrongClaim> {
    let text = topic.get("match").and_then(Value::as_str).filter(|text| !text.is_empty());
    let text = text.ok_or("has a topic without a match")?;
    match topic.get("match_type").map_or(Some("exact"), Value::as_str) {
        Some("exact") => Ok(Selector::exact(text)),
        Some("urlpattern") => Selector::url_pattern(text, hub).map_err(|error| format!("has an {error}")),
        _ => Err("has a match_type that is not exact or urlpattern".into()),
    }
}

fn read_claim(claims: &Map<String, Value>, with_payloads: bool) -> Result<MercureGrant, WrongClaim> {
    let found = CLAIMS.iter().find_map(|name| claims.get(*name));
    let Some(Value::Object(claim)) = found else {
        return Err("has neither an object mercure, nor authorization_details and the type at+jwt".into());
    };
    let of_all = claim.get("payload").filter(|payload| with_payloads && !payload.is_null());
    Ok(MercureGrant {
        publish: SelectorSet::new(read_list(claim, "publish")?),
        subscribe: set(read_list(claim, "subscribe")?),
        payloads: of_all.map_or(Payloads::None, |value| Payloads::One(payload(value))),
        of_dialect_1: false,
    })
}

fn read_list(claim: &Map<String, Value>, name: &str) -> Result<Vec<Selector>, WrongClaim> {
    let items = match claim.get(name) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) if items.len() <= MAX_SELECTORS => items,
        _ => return Err(format!("has a member {name} of mercure that is no list of at most {MAX_SELECTORS} texts")),
    };
    let read = |item: &Value| item.as_str().map(Selector::text_or_template);
    let selectors: Option<Vec<_>> = items.iter().map(read).collect();
    selectors.ok_or_else(|| format!("has a member {name} of mercure with an item that is no text"))
}

fn set(selectors: Vec<Selector>) -> Arc<SelectorSet> {
    Arc::new(SelectorSet::new(selectors))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HUB: &str = "https://hub.example/.well-known/mercure";

    fn read(kind: &str, claims: &Value) -> Result<MercureGrant, String> {
        let expected = ExpectedIssuer { issuer: Some("me".into()), hub: Url::parse(HUB).expect("a URL") };
        MercureGrant::read(Some(kind), claims.as_object().expect("an object"), &expected, true)
    }

    #[test]
    fn the_claim_of_dialect_0_has_texts_and_templates() {
        let grant = read("JWT", &json!({"mercure": {"publish": ["a", "/b/{x}"], "subscribe": ["*"], "payload": 1}}));
        let grant = grant.expect("valid");
        assert!(grant.publish.matches("a") && grant.publish.matches("/b/1") && !grant.publish.matches("c"));
        assert!(grant.subscribe.matches("anything"));
        let namespaced = json!({"mercure": {"publish": ["a"]}, "https://mercure.rocks/": {"publish": []}});
        assert!(read("JWT", &namespaced).expect("valid").publish.is_empty(), "the long name counts");
        assert!(read("JWT", &json!({"mercure": {}})).expect("valid").subscribe.is_empty());
        assert!(read("JWT", &json!({"mercure": {"publish": null}})).expect("valid").publish.is_empty());
    }

    #[test]
    fn a_claim_that_is_not_understood_is_an_error() {
        for claims in [
            json!({}),
            json!({"mercure": "*"}),
            json!({"mercure": {"publish": "*"}}),
            json!({"mercure": {"publish": [1]}}),
            json!({"mercure": {"subscribe": vec!["a"; MAX_SELECTORS + 1]}}),
            json!({"authorization_details": []}),
        ] {
            assert!(read("JWT", &claims).is_err(), "{claims}");
        }
    }

    fn details(details: &Value) -> Value {
        json!({"iss": "me", "aud": ["x", HUB], "exp": 1, "authorization_details": details})
    }

    #[test]
    fn details_of_dialect_1_say_what_may_be_done_and_foreign_ones_are_passed_over() {
        let claims = details(&json!([
            {"type": "other", "topics": 7, "actions": null},
            {"type": DETAIL_TYPE, "actions": ["publish", "dance"], "topics": [{"match": "a"}]},
            {"type": DETAIL_TYPE, "actions": ["subscribe"],
             "topics": [{"match": "https://example.com/:id", "match_type": "urlpattern"}]},
        ]));
        for kind in ["at+jwt", "AT+JWT", "application/at+jwt"] {
            let grant = read(kind, &claims).expect(kind);
            assert!(grant.publish.matches("a") && !grant.publish.matches("https://example.com/1"));
            assert!(grant.subscribe.matches("https://example.com/1") && !grant.subscribe.matches("a"));
        }
        assert!(read("JWT", &claims).is_err(), "an ID token is no access token");
    }

    #[test]
    fn a_payload_is_that_of_the_first_detail_that_has_the_selector() {
        let detail = |topics: Value, payload: Option<Value>| {
            let mut detail = json!({"type": DETAIL_TYPE, "actions": ["subscribe"], "topics": topics});
            if let Some(payload) = payload {
                detail["payload"] = payload;
            }
            detail
        };
        let pattern = json!([{"match": "https://example.com/:id", "match_type": "urlpattern"}]);
        let claims = details(&json!([
            detail(json!([{"match": "a"}]), Some(json!({"n": 1}))),
            detail(json!([{"match": "quiet"}]), None),
            detail(pattern, Some(json!({"n": 2}))),
            detail(json!([{"match": "*"}]), Some(json!({"n": 3}))),
        ]));
        let payloads = read("at+jwt", &claims).expect("valid").payloads;
        for (selector, want) in
            [("a", Some(1)), ("quiet", None), ("https://example.com/:id", Some(2)), ("other", Some(3))]
        {
            let want: Option<i32> = want;
            let text = payloads.of(selector).map(|payload| payload.get().to_owned());
            assert_eq!(text, want.map(|n| format!("{{\"n\":{n}}}")), "{selector}");
        }
        let odd = details(&json!([detail(json!([{"match": "a"}]), Some(json!("text")))]));
        assert!(read("at+jwt", &odd).is_err());
        let of_0 = |payload| read("JWT", &json!({"mercure": {"payload": payload}})).expect("valid").payloads.of("a");
        assert_eq!(of_0(json!("a\u{2028}")).map(|payload| payload.get().to_owned()).as_deref(), Some("\"a\\u2028\""));
        assert!(of_0(Value::Null).is_none());
    }

    #[test]
    fn one_bad_detail_or_claim_is_worth_nothing() {
        let topic = |topic: Value| details(&json!([{"type": DETAIL_TYPE, "actions": ["publish"], "topics": [topic]}]));
        let good = topic(json!({"match": "a"}));
        assert!(read("at+jwt", &good).is_ok());
        for bad in [
            json!("a"),
            json!(null),
            json!({}),
            json!({"match": ""}),
            json!({"match": "a", "match_type": "regexp"}),
            json!({"match": "https://example.com/(", "match_type": "urlpattern"}),
        ] {
            assert!(read("at+jwt", &topic(bad.clone())).is_err(), "{bad}");
        }
        let many = vec![json!({"match": "a"}); 51];
        let detail = json!({"type": DETAIL_TYPE, "actions": ["publish"], "topics": many});
        assert!(read("at+jwt", &details(&json!([detail, detail]))).is_err(), "101 topics in all would do");
        for (claim, value) in [("iss", json!("you")), ("aud", json!("other")), ("aud", json!([HUB, 1]))] {
            let mut claims = good.clone();
            claims[claim] = value;
            assert!(read("at+jwt", &claims).is_err(), "{claim}");
        }
        let mut unending = good;
        unending.as_object_mut().expect("an object").remove("exp");
        assert!(read("at+jwt", &unending).is_err());
    }
}
