//! `GET /whoami`: a caller learns what it may do, and nothing of any credential.

use std::net::{Ipv4Addr, TcpListener};

use serde_json::{Value, json};

use super::support::{assert_problem, hub::Hub, tokens, wire};

/// Providers of which nothing is asked.
const PROVIDERS: &str = "{ lab = { dialect = \"openai\", url = \"http://127.0.0.1:1\", models = [\"gpt-*\", \"o1\"] }, \
                         den = { dialect = \"ollama\", url = \"http://127.0.0.1:1\" } }";

fn asked(hub: &Hub, token: &str) -> Value {
    let bearer = format!("Bearer {token}");
    let answer = wire::request(hub.address, "GET", "/whoami", &[("authorization", &bearer)], b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.headers.get("cache-control"), Some("no-store"));
    assert!(!answer.text().contains(token), "{}", answer.text());
    answer.json()
}

#[test]
fn on_an_open_hub_everyone_may_do_everything() {
    let hub = Hub::start();
    let everything = json!({
        "version": env!("CARGO_PKG_VERSION"), "authentication": "open", "holder": null, "expires": null,
        "publish": ["**"], "subscribe": ["**"], "models": ["*"], "admin": true, "operators_here": true, "relay": null,
    });
    assert_eq!(hub.get("/whoami").json(), everything);
    let head = hub.request("HEAD", "/whoami", b"");
    assert_eq!((head.status, head.text()), (200, String::new()));
    let problem = assert_problem(&hub.get("/whoami?token=x"), 400, "query-invalid");
    assert!(problem["detail"].as_str().unwrap().contains("access_token"), "{problem}");
    assert_problem(&hub.request("POST", "/whoami", b""), 405, "method-not-allowed");
}

#[test]
fn a_caller_sees_its_own_grant_and_an_anonymous_one_what_anyone_may_do() {
    let tokens = tokens(&[
        ("ci", "publish = [\"jobs/*\"], subscribe = [\"jobs/**\", \"news\"], relay = [\"lab/gpt-4o*\"]"),
        ("operator", "admin = true"),
        ("all", "relay = [\"*\"]"),
    ]);
    let hub = Hub::start_with(&[
        "--access-tokens",
        &tokens,
        "--access-anyone-subscribe",
        "public/**",
        "--relay-providers",
        PROVIDERS,
    ]);
    let lab = json!({"name": "lab", "dialect": "openai", "models": ["gpt-*", "o1"]});
    let den = json!({"name": "den", "dialect": "ollama", "models": ["*"]});
    let want = |with: Value| {
        let mut all = json!({
            "version": env!("CARGO_PKG_VERSION"), "authentication": "token", "holder": null, "expires": null,
            "publish": [], "subscribe": [], "models": [], "admin": false, "operators_here": true,
            "relay": {"providers": []},
        });
        all.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
        all
    };
    let anyone = hub.get("/whoami").json();
    assert_eq!(anyone, want(json!({"authentication": "anonymous", "subscribe": ["public/**"]})));
    assert_eq!(
        asked(&hub, "ci-token"),
        want(json!({
            "holder": "ci", "publish": ["jobs/*"], "subscribe": ["jobs/**", "news"], "models": ["lab/gpt-4o*"],
            "relay": {"providers": [lab]},
        }))
    );
    assert_eq!(asked(&hub, "operator-token"), want(json!({"holder": "operator", "admin": true})));
    let all = asked(&hub, "all-token");
    assert_eq!(all, want(json!({"holder": "all", "models": ["*"], "relay": {"providers": [den, lab]}})));
    assert_eq!(hub.get("/whoami?access_token=all-token").json(), all, "a token in the query, as for any reading");
    for headers in [("authorization", "Bearer nobodys"), ("authorization", "Bearer"), ("cookie", "gapless=nobodys")] {
        let answer = wire::request(hub.address, "GET", "/whoami", &[headers], b"");
        assert_problem(&answer, 401, "unauthorized");
    }
}

#[test]
fn what_operators_read_is_reported_for_the_listener_that_was_asked() {
    let operators = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let tokens = tokens(&[("operator", "admin = true")]);
    let hub = Hub::start_with(&["--access-tokens", &tokens, "--admin-listen", &operators.to_string()]);
    let public = asked(&hub, "operator-token");
    assert_eq!((&public["admin"], &public["operators_here"]), (&json!(true), &json!(false)));
    assert_eq!(hub.get("/admin/stats").status, 404);
    let here = wire::request(operators, "GET", "/whoami", &[], b"").json();
    assert_eq!(
        (&here["authentication"], &here["admin"], &here["operators_here"], &here["subscribe"]),
        (&json!("open"), &json!(true), &json!(true), &json!([])),
    );
    assert_eq!(wire::request(operators, "GET", "/admin/stats", &[], b"").status, 200);
}
