//! Tokens of both dialects, where they are carried, and what they do not open.

use serde_json::{Value, json};

use crate::{
    site::{
        ISSUER, MercureHub, PATH, URL, access_claims, bearer, form, in_seconds, post, publisher, subscriber, token,
        token_by,
    },
    support::{assert_problem, wire},
};

fn published(hub: &MercureHub, token: &str, topic: &str) -> u16 {
    post(hub.address, &[("authorization", &bearer(token))], &[("topic", topic), ("data", "x")]).status
}

/// The status of a subscription with this token, and its challenge.
fn subscribed(hub: &MercureHub, token: &str) -> (u16, Option<String>) {
    let headers = [("authorization", &*bearer(token))];
    let incoming = wire::open(hub.address, "HEAD", &format!("{PATH}?topic=a"), &headers, b"");
    (incoming.status, incoming.headers.get("www-authenticate").map(Into::into))
}

#[test]
fn a_token_of_dialect_1_is_read_strictly() {
    let hub = MercureHub::start();
    let topics = json!([{"match": "a"}, {"match": "https://example.com/:id", "match_type": "urlpattern"}]);
    let good = access_claims(&["publish", "subscribe"], &topics);
    for kind in ["at+jwt", "application/AT+JWT"] {
        let token = token(kind, &good);
        assert_eq!(published(&hub, &token, "a"), 200);
        assert_eq!(published(&hub, &token, "https://example.com/1"), 200);
        assert_eq!(published(&hub, &token, "https://example.com/1/2"), 403);
        assert_eq!(subscribed(&hub, &token).0, 200);
    }
    let with = |claim: &str, value: Value| {
        let mut claims = good.clone();
        claims[claim] = value;
        claims
    };
    let mut unending = good.clone();
    unending.as_object_mut().unwrap().remove("exp");
    for (kind, claims) in [
        ("JWT", good.clone()),
        ("at+jwt", with("iss", json!("https://other.example"))),
        ("at+jwt", with("aud", json!("https://other.example/.well-known/mercure"))),
        ("at+jwt", with("exp", json!(in_seconds(-60)))),
        ("at+jwt", with("nbf", json!(in_seconds(60)))),
        ("at+jwt", unending),
        ("at+jwt", access_claims(&["subscribe"], &json!(["a"]))),
        ("at+jwt", access_claims(&["subscribe"], &json!([{"match": "/(", "match_type": "urlpattern"}]))),
    ] {
        let token = token(kind, &claims);
        let (status, challenge) = subscribed(&hub, &token);
        assert_eq!(status, 401, "{kind} {claims}");
        assert!(challenge.unwrap().contains("error=\"invalid_token\""), "{kind} {claims}");
        assert_eq!(published(&hub, &token, "a"), 401);
    }
    let both = with("aud", json!(["other", URL]));
    assert_eq!((ISSUER, subscribed(&hub, &token("at+jwt", &both)).0), ("https://localhost", 200));
}

#[test]
fn no_token_is_challenged_and_a_bad_one_is_never_none() {
    let (open, closed) = (MercureHub::start(), MercureHub::start_with(&[]));
    let missing = closed.refused("topic=a", &[]);
    assert_problem(&missing, 401, "unauthorized");
    let challenge = missing.headers.get("www-authenticate").unwrap();
    let metadata = "resource_metadata=\"https://localhost/.well-known/oauth-protected-resource/.well-known/mercure\"";
    assert_eq!(challenge, format!("Bearer {metadata}"));
    let other_key =
        token_by("another key of at least thirty-two bytes", "JWT", &json!({"mercure": {"subscribe": ["*"]}}));
    let expired = token("JWT", &json!({"exp": in_seconds(-60), "mercure": {"subscribe": ["*"]}}));
    for bad in [&*other_key, &expired, "x.y.z", "not-a-jwt", &token("JWT", &json!({}))] {
        for carried in [
            vec![("authorization", bearer(bad))],
            vec![("cookie", format!("mercureAuthorization={bad}"))],
            vec![("cookie", format!("a=1; __Secure-mercure_access_token={bad}"))],
        ] {
            let headers: Vec<(&str, &str)> = carried.iter().map(|(name, value)| (*name, &**value)).collect();
            assert_problem(&open.refused("topic=a", &headers), 401, "unauthorized");
        }
        assert_problem(&open.refused(&format!("topic=a&authorization={bad}"), &[]), 401, "unauthorized");
    }
    assert_problem(&open.refused("topic=a", &[("authorization", "Basic dTpw")]), 400, "header-invalid");
    assert_problem(
        &open.refused("topic=a", &[("authorization", "Bearer a"), ("authorization", "Bearer a")]),
        400,
        "header-invalid",
    );
}

#[test]
fn a_token_may_be_in_a_header_in_the_query_or_in_a_cookie() {
    let hub = MercureHub::start_with(&[]);
    let token = subscriber(&["a"]);
    let mut streams = vec![
        hub.subscribe_with("topic=a", &[("authorization", &bearer(&token))]),
        hub.subscribe(&format!("topic=a&authorization={token}")),
        hub.subscribe_with("topic=a", &[("cookie", &format!("x=y; mercureAuthorization={token}"))]),
        hub.subscribe_with("topic=a", &[("cookie", &format!("__Secure-mercure_access_token={token}"))]),
    ];
    hub.publish(&[("topic", "a"), ("data", "secret"), ("private", "on")]);
    for stream in &mut streams {
        assert_eq!(stream.data(1), ["secret"]);
    }
    let strict = crate::site::token("at+jwt", &access_claims(&["subscribe"], &json!([{"match": "a"}])));
    assert_problem(&hub.refused(&format!("topic=a&authorization={strict}"), &[]), 401, "unauthorized");
    let publish = |target: &str, headers: &[(&str, &str)]| {
        let headers = [&[("content-type", "application/x-www-form-urlencoded")], headers].concat();
        wire::request(hub.address, "POST", target, &headers, form(&[("topic", "a")]).as_bytes())
    };
    let token = publisher(&["a"]);
    assert_problem(&publish(&format!("{PATH}?authorization={token}"), &[]), 401, "unauthorized");
    let cookie = format!("mercureAuthorization={token}");
    assert_problem(&publish(PATH, &[("cookie", &cookie)]), 400, "header-invalid");
    assert_problem(&publish(PATH, &[("cookie", &cookie), ("origin", "https://other.example")]), 400, "header-invalid");
    let own = format!("http://{}", hub.address);
    assert_eq!(publish(PATH, &[("cookie", &cookie), ("origin", &own)]).status, 200);
}

#[test]
fn tokens_of_mercure_open_nothing_else_and_others_open_nothing_of_it() {
    let tokens = crate::support::tokens(&[("boss", "admin = true, publish = [\"**\"], subscribe = [\"**\"]")]);
    let hub = MercureHub::start_with(&["--mercure-anonymous", &format!("--access-tokens={tokens}")]);
    let all = bearer(&token("JWT", &json!({"mercure": {"publish": ["*"], "subscribe": ["*"]}})));
    for (method, target) in [
        ("POST", "/publish?topic=t"),
        ("GET", "/events?topic=t"),
        ("GET", "/events?topic=mercure/a"),
        ("GET", "/admin/stats"),
        ("GET", "/topics"),
    ] {
        let answer = wire::request(hub.address, method, target, &[("authorization", &all)], b"");
        assert_eq!(answer.status, 401, "{method} {target}");
    }
    let boss = [("authorization", "Bearer boss-token")];
    assert_eq!(post(hub.address, &boss, &[("topic", "a")]).status, 401);
    assert_eq!(hub.refused("topic=a", &boss).status, 401);
}

#[test]
fn a_stream_ends_with_its_token() {
    let hub = MercureHub::start_with(&[]);
    let token = token("JWT", &json!({"exp": in_seconds(-2), "mercure": {"subscribe": ["*"]}}));
    let mut stream = hub.subscribe_with("topic=a", &[("authorization", &bearer(&token))]);
    assert_eq!(stream.next(), None, "within the leeway of five seconds");
}

#[test]
fn a_hub_for_one_of_two_says_so() {
    let keys = tempfile::tempdir().unwrap();
    let file = keys.path().join("key");
    std::fs::write(&file, crate::site::KEY).unwrap();
    let key = format!("--mercure-publisher-key={}", file.display());
    let hub = crate::support::hub::Hub::start_with(&["--protocols=mercure", &key]);
    let answer = hub.get(&format!("{PATH}?topic=a"));
    assert_problem(&answer, 405, "method-not-allowed");
    assert_eq!(answer.headers.get("allow"), Some("POST, OPTIONS"));
    let hub = crate::support::hub::Hub::start_with(&["--protocols=mercure", "--mercure-anonymous"]);
    assert_problem(&hub.post(PATH, &[], b"topic=a"), 405, "method-not-allowed");
    let with_token = wire::request(
        hub.address,
        "GET",
        &format!("{PATH}?topic=a"),
        &[("authorization", &bearer(&subscriber(&["a"])))],
        b"",
    );
    assert_problem(&with_token, 401, "unauthorized");
}

#[test]
fn a_hub_that_nobody_could_use_or_whose_key_is_weak_does_not_start() {
    use crate::support::hub::Hub;
    let (code, log) = Hub::refused(&["--protocols=mercure"]);
    assert_eq!(code, Some(78), "{log}");
    assert!(log.contains("mercure.publisher_key"), "{log}");
    let (code, log) = Hub::refused(&["--protocols=mercure", "--mercure-anonymous", "--mercure-issuer=https://x"]);
    assert_eq!(code, Some(78), "{log}");
    assert!(log.contains("mercure.url"), "{log}");
    let keys = tempfile::tempdir().unwrap();
    let file = keys.path().join("key");
    std::fs::write(&file, "too short").unwrap();
    let (code, log) = Hub::refused(&["--protocols=mercure", &format!("--mercure-publisher-key={}", file.display())]);
    assert_eq!(code, Some(78), "{log}");
    assert!(log.contains("HS256") && !log.contains("too short"), "{log}");
}

#[test]
fn a_page_of_a_named_origin_reads_the_answers_to_its_cursor() {
    let hub =
        MercureHub::start_with(&["--mercure-anonymous", "--cors-origins=https://app.example", "--cors-credentials"]);
    let headers = [("origin", "https://app.example"), ("accept", "text/event-stream")];
    let incoming = wire::open(hub.address, "HEAD", &format!("{PATH}?topic=a&last_event_id=earliest"), &headers, b"");
    let exposed = incoming.headers.get("access-control-expose-headers").unwrap();
    for name in ["mercure-last-event-id", "last-event-id", "link"] {
        assert!(exposed.split(", ").any(|one| one == name), "{exposed}");
    }
    assert_eq!(incoming.headers.get("access-control-allow-credentials"), Some("true"));
    let preflight = [("origin", "https://app.example"), ("access-control-request-method", "POST")];
    assert_eq!(wire::request(hub.address, "OPTIONS", PATH, &preflight, b"").status, 204);
}
