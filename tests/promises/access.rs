//! Authorization: each credential grants what the operator configured and nothing else, and a refusal says why.

use serde_json::json;

use super::support::{
    assert_problem, eventually,
    hub::Hub,
    tokens,
    wire::{self, Answer, Upload},
};

const ENTRIES: [(&str, &str); 4] = [
    ("ci", "publish = [\"jobs/*\"], subscribe = [\"jobs/**\"]"),
    ("reader", "subscribe = [\"jobs/*\", \"news\"]"),
    ("operator", "admin = true"),
    ("all", "publish = [\"**\"], subscribe = [\"**\"], admin = true"),
];

fn guarded(more: &[&str]) -> Hub {
    let tokens = tokens(&ENTRIES);
    Hub::start_with(&[&["--access-tokens", &tokens], more].concat())
}

/// A request with the token of `name`, or with none.
fn with(hub: &Hub, name: &str, method: &str, target: &str, body: &str) -> Answer {
    let bearer = format!("Bearer {name}-token");
    let headers: &[_] = if name.is_empty() { &[] } else { &[("authorization", &*bearer)] };
    wire::request(hub.address, method, target, headers, body.as_bytes())
}

fn detail(answer: &Answer) -> String {
    answer.json()["detail"].as_str().unwrap().into()
}

#[test]
fn without_a_credential_nothing_is_open_but_health_and_the_page() {
    let hub = guarded(&[]);
    for target in ["/", "/healthz", "/readyz", "/openapi.json"] {
        assert_eq!(hub.get(target).status, 200, "{target}");
    }
    for (method, target, body) in [
        ("POST", "/publish?topic=jobs/1", "x"),
        ("POST", "/publish", "{\"topic\":\"jobs/1\",\"data\":1}"),
        ("GET", "/events?topic=jobs/1", ""),
        ("HEAD", "/events?topic=jobs/1", ""),
        ("POST", "/events", "{\"topics\":[\"jobs/1\"]}"),
        ("GET", "/topics", ""),
        ("GET", "/topics/jobs/1", ""),
        ("PUT", "/topics/jobs/1", "{}"),
        ("DELETE", "/topics/jobs/1", ""),
        ("GET", "/admin/stats", ""),
        ("GET", "/admin/history", ""),
        ("GET", "/metrics", ""),
    ] {
        let answer = with(&hub, "", method, target, body);
        assert_eq!(answer.status, 401, "{method} {target}");
        assert_eq!(answer.headers.get("www-authenticate"), Some("Bearer realm=\"gapless\""), "{method} {target}");
    }
    assert_eq!(with(&hub, "all", "GET", "/topics", "").json()["topics"], json!([]), "nothing was done");
}

#[test]
fn a_token_opens_what_it_says_and_the_refusal_names_what_is_missing() {
    let hub = guarded(&[]);
    assert_eq!(with(&hub, "ci", "POST", "/publish?topic=jobs/1", "x").status, 200);
    let answer = with(&hub, "ci", "POST", "/publish?topic=jobs/1/log", "x");
    assert_problem(&answer, 403, "forbidden");
    assert!(detail(&answer).contains("'jobs/1/log'") && detail(&answer).contains("jobs/*"), "{}", detail(&answer));
    assert!(answer.headers.get("www-authenticate").unwrap().contains("insufficient_scope"));

    let page = |name: &str, query: &str| {
        let bearer = format!("Bearer {name}-token");
        let headers = [("authorization", &*bearer), ("accept", "application/json")];
        wire::request(hub.address, "GET", &format!("/events?{query}&from=earliest"), &headers, b"")
    };
    assert_eq!(page("reader", "topic=jobs/*&topic=news").json()["events"][0]["data"], "x");
    let answer = page("reader", "topic=news&topic=jobs/**");
    assert_problem(&answer, 403, "forbidden");
    assert!(detail(&answer).contains("'jobs/**'"), "{}", detail(&answer));
    assert_eq!(page("ci", "topic=jobs/**").status, 200);
    assert_eq!(page("operator", "topic=jobs/1").status, 403, "an operator reads no events");
    assert_eq!(with(&hub, "reader", "POST", "/publish?topic=news", "x").status, 403);
}

#[test]
fn a_batch_with_one_topic_too_many_is_refused_whole() {
    let hub = guarded(&[]);
    let batch = r#"[{"topic":"jobs/1","data":"a"},{"topic":"jobs/1","data":"b"},{"topic":"other","data":"c"}]"#;
    assert_problem(&with(&hub, "ci", "POST", "/publish", batch), 403, "forbidden");
    assert_eq!(with(&hub, "all", "GET", "/topics", "").json()["topics"], json!([]));
}

#[test]
fn no_spelling_of_a_topic_escapes_its_pattern() {
    let hub = guarded(&[]);
    for topic in [
        "other",
        "jobs%2F1%2Flog",
        "jobs/../other/x",
        "jobs/1/..",
        "JOBS/1",
        "Jobs/1",
        "j\u{43e}bs/1",  // a Cyrillic o
        "jobs\u{ff0f}1", // a full-width slash
        "jobs%252F1%2F2",
        "jobs/1%2F",
        "jobs//1",
        "%6Aobs/1/2",
        "jobs/1%00",
        "jobs/1%E2%80%8B/x", // a zero-width space
    ] {
        let target = format!("/publish?topic={}", topic.replace('\u{43e}', "%D0%BE").replace('\u{ff0f}', "%EF%BC%8F"));
        let answer = with(&hub, "ci", "POST", &target, "x");
        assert!([400, 403].contains(&answer.status), "{topic}: {}", answer.status);
    }
    assert_eq!(with(&hub, "all", "GET", "/topics", "").json()["topics"], json!([]));
    // These are ordinary names, and the pattern has one segment.
    for topic in ["%6Aobs/1", "jobs%2F2", "jobs/...", "jobs/%252F"] {
        assert_eq!(with(&hub, "ci", "POST", &format!("/publish?topic={topic}"), "x").status, 200, "{topic}");
    }
}

#[test]
fn a_bad_credential_is_an_error_and_never_anonymity() {
    let hub = guarded(&["--access-anyone-subscribe", "public/**", "--access-anyone-publish", "public/inbox"]);
    let ask = |headers: &[(&str, &str)]| {
        let headers = [headers, &[("accept", "application/json")]].concat();
        wire::request(hub.address, "GET", "/events?topic=public/x&from=earliest", &headers, b"")
    };
    assert_eq!(ask(&[]).status, 200);
    assert_eq!(ask(&[("authorization", "Bearer reader-token")]).status, 403, "a token is asked for its own grants");
    for headers in [
        [("authorization", "Bearer nobodys")],
        [("authorization", "Bearer")],
        [("authorization", "Basic cmVhZGVyOng=")],
        [("authorization", "")],
        [("cookie", "gapless=nobodys")],
        [("cookie", "gapless=")],
        [("cookie", "gapless=a; gapless=b")],
    ] {
        let answer = ask(&headers);
        assert_problem(&answer, 401, "unauthorized");
        assert!(answer.headers.get("www-authenticate").unwrap().contains("invalid_token"), "{headers:?}");
    }
    let twice = [("authorization", "Bearer reader-token"), ("authorization", "Bearer all-token")];
    assert_problem(&ask(&twice), 400, "header-invalid");
    for query in ["access_token=nobodys", "access_token=", "access_token=%0d%0aX", "access%5Ftoken=nobodys"] {
        let answer = hub.get(&format!("/events?topic=public/x&{query}"));
        assert_problem(&answer, 401, "unauthorized");
    }
    assert_eq!(hub.post("/publish?topic=public/inbox", &[], b"x").status, 200);
    assert_eq!(hub.post("/publish?topic=public/other", &[], b"x").status, 401);
}

#[test]
fn a_subscribers_token_may_come_in_the_query_or_a_cookie_and_a_publishers_not_in_the_query() {
    let hub = guarded(&[]);
    let id = with(&hub, "all", "POST", "/publish?topic=news", "hello").json()["id"].as_str().unwrap().to_owned();
    let mut by_query = wire::watch(hub.address, "topic=news&from=earliest&access_token=reader-token", None);
    assert_eq!(by_query.next().unwrap().id.as_deref(), Some(&*id));
    let cookie = [("cookie", "a=b; gapless=reader-token"), ("accept", "application/json")];
    let by_cookie = wire::request(hub.address, "GET", "/events?topic=news&from=earliest", &cookie, b"");
    assert_eq!(by_cookie.json()["events"][0]["id"], json!(id));
    let answer = hub.post("/publish?topic=news&access_token=all-token", &[], b"x");
    assert_problem(&answer, 401, "unauthorized");
    assert!(detail(&answer).contains("Authorization"), "{}", detail(&answer));
}

#[test]
fn a_proxys_password_hides_no_cookie_and_authorizes_nothing() {
    let hub = guarded(&["--access-anyone-subscribe", "public/**"]);
    let ask = |method: &str, target: &str, headers: &[(&str, &str)]| {
        let headers = [&[("authorization", "Basic dXNlcjpwYXNz"), ("accept", "application/json")], headers].concat();
        wire::request(hub.address, method, target, &headers, b"")
    };
    let read = "/events?topic=news&from=earliest";
    assert_eq!(ask("GET", read, &[("cookie", "gapless=reader-token")]).status, 200);
    assert_eq!(ask("GET", &format!("{read}&access_token=reader-token"), &[]).status, 200);
    assert_problem(&ask("GET", read, &[("cookie", "gapless=nobodys")]), 401, "unauthorized");
    for target in [read, "/events?topic=public/x&from=earliest"] {
        let answer = ask("GET", target, &[]);
        assert_problem(&answer, 401, "unauthorized");
        assert!(detail(&answer).contains("proxy"), "{}", detail(&answer));
    }
    // A browser adds both for every page: a change still needs an allowed origin.
    let publish =
        |origin: &str| ask("POST", "/publish?topic=t", &[("cookie", "gapless=all-token"), ("origin", origin)]);
    assert_problem(&publish("https://evil.example"), 403, "origin-forbidden");
    assert_eq!(publish(&hub.url()).status, 200);
}

#[test]
fn a_change_by_cookie_needs_an_origin_that_may() {
    let hub = guarded(&["--cors-origins", "https://app.example,https://*.wild.example", "--cors-credentials"]);
    let ours = hub.url();
    let publish = |origin: Option<&str>| {
        let mut headers = vec![("cookie", "gapless=all-token")];
        headers.extend(origin.map(|origin| ("origin", origin)));
        hub.post("/publish?topic=t", &headers, b"x")
    };
    for origin in [&*ours, "https://app.example", "https://a.wild.example"] {
        assert_eq!(publish(Some(origin)).status, 200, "{origin}");
    }
    for origin in [None, Some("https://evil.example"), Some("null"), Some("https://app.example.evil.example")] {
        assert_problem(&publish(origin), 403, "origin-forbidden");
    }
    let bearer = [("authorization", "Bearer all-token"), ("origin", "https://evil.example")];
    assert_eq!(hub.post("/publish?topic=t", &bearer, b"x").status, 200, "no browser adds a header by itself");
}

#[test]
fn apps_and_development_servers_are_named_and_their_tracing_headers_are_let_through() {
    let hub = guarded(&["--cors-origins", "capacitor://localhost, http://localhost:*, null"]);
    let preflight = |origin: &str| {
        let asked = "authorization, baggage, traceparent, sentry-trace";
        let headers =
            [("origin", origin), ("access-control-request-method", "POST"), ("access-control-request-headers", asked)];
        let answer = wire::request(hub.address, "OPTIONS", "/publish", &headers, b"");
        let told = |name: &str| answer.headers.get(name).unwrap_or_default().to_owned();
        (answer.status, told("access-control-allow-origin"), told("access-control-allow-headers") == asked)
    };
    for origin in ["capacitor://localhost", "http://localhost:5173", "null"] {
        assert_eq!(preflight(origin), (204, origin.to_owned(), true), "{origin}");
    }
    assert_eq!(preflight("tauri://localhost").0, 403);
    let (code, said) = Hub::refused(&["--cors-origins", "null", "--cors-credentials"]);
    assert_eq!(code, Some(78), "any page can have the origin null: {said}");
}

#[test]
fn topics_are_listed_by_grant_and_changed_by_operators() {
    let hub = guarded(&[]);
    for topic in ["jobs/1", "jobs/2/log", "news", "secret"] {
        with(&hub, "all", "POST", &format!("/publish?topic={topic}"), "x");
    }
    let listed = |name: &str, query: &str| {
        let page = with(&hub, name, "GET", &format!("/topics?{query}"), "").json();
        let names = page["topics"].as_array().unwrap().iter().map(|topic| topic["topic"].as_str().unwrap().to_owned());
        (names.collect::<Vec<_>>(), page["next"].clone())
    };
    assert_eq!(listed("reader", ""), (vec!["jobs/1".into(), "news".into()], json!(null)));
    assert_eq!(listed("ci", ""), (vec!["jobs/1".into(), "jobs/2/log".into()], json!(null)));
    assert_eq!(listed("operator", "").0.len(), 4);
    assert_eq!(listed("reader", "limit=1"), (vec!["jobs/1".into()], json!("jobs/1")));
    assert_eq!(listed("reader", "limit=1&after=jobs/1"), (vec!["news".into()], json!(null)));
    for topic in ["secret", "no-such-topic"] {
        let answer = with(&hub, "reader", "GET", &format!("/topics/{topic}"), "");
        assert_problem(&answer, 403, "forbidden");
    }
    assert_eq!(with(&hub, "reader", "GET", "/topics/news", "").json()["events"], 1);
    for method in ["PUT", "DELETE"] {
        assert_problem(&with(&hub, "ci", method, "/topics/jobs/1", "{}"), 403, "forbidden");
    }
    assert_eq!(with(&hub, "operator", "PUT", "/topics/jobs/1", "{\"retry\":1000}").status, 200);
    assert_eq!(with(&hub, "operator", "DELETE", "/topics/jobs/1", "").status, 204);
}

#[test]
fn stats_and_metrics_need_the_grant_admin() {
    let hub = guarded(&[]);
    for target in ["/admin/stats", "/metrics"] {
        assert_eq!(with(&hub, "operator", "GET", target, "").status, 200, "{target}");
        let answer = with(&hub, "ci", "GET", target, "");
        assert_problem(&answer, 403, "forbidden");
        assert!(detail(&answer).contains("admin"), "{}", detail(&answer));
    }
}

#[test]
fn a_publish_stream_is_authorized_for_each_topic() {
    let hub = guarded(&[]);
    let headers = [("content-type", "application/x-ndjson"), ("authorization", "Bearer ci-token")];
    let mut upload = Upload::open(hub.address, "/publish", &headers);
    let mut receipts = upload.answer_after(
        "{\"topic\":\"jobs/1\",\"data\":1}\n{\"topic\":\"other\",\"data\":2}\n{\"topic\":\"jobs/2\",\"data\":3}\n",
    );
    assert_eq!(receipts.json()["topic"], "jobs/1");
    assert_eq!(receipts.json()["error"]["code"], "forbidden");
    assert_eq!(receipts.json()["topic"], "jobs/2");
    upload.finish();
    assert_eq!(receipts.line(), None);
}

#[test]
fn a_body_without_authorization_takes_no_memory() {
    // Four announced bodies that never arrive would fill it.
    let sizes =
        ["--publish-inflight-bytes", "1536KiB", "--publish-batch-bytes", "512KiB", "--publish-event-bytes", "512KiB"];
    let hub = guarded(&[&sizes[..], &["--access-anyone-subscribe", "public/*"]].concat());
    let mut held = Vec::new();
    for (what, path, token) in [
        ("nobody", "/publish", ""),
        ("a reader", "/publish", "authorization: Bearer reader-token\r\n"),
        ("an operator", "/publish", "authorization: Bearer operator-token\r\n"),
        ("an operator", "/events", "authorization: Bearer operator-token\r\n"),
    ] {
        let request = format!("POST {path} HTTP/1.1\r\nhost: hub\r\n{token}content-length: 262144\r\n\r\n[");
        let socket = wire::send(hub.address, request.as_bytes());
        let want = if token.is_empty() { 401 } else { 403 };
        assert_eq!(wire::Incoming::read(socket.try_clone().unwrap(), false).unwrap().status, want, "{what} {path}");
        held.push(socket);
    }
    assert_eq!(with(&hub, "all", "POST", "/publish?topic=t", &"x".repeat(1 << 19)).status, 200);
}

#[test]
fn an_idempotency_key_belongs_to_its_holder() {
    let hub = guarded(&[]);
    let publish = |token: &str, data: &[u8]| {
        let headers = [("authorization", token), ("idempotency-key", "k")];
        hub.post("/publish?topic=jobs/1", &headers, data).json()
    };
    let (mine, others) = (publish("Bearer ci-token", b"a"), publish("Bearer all-token", b"b"));
    assert_ne!(mine["id"], others["id"]);
    assert_eq!(publish("Bearer ci-token", b"a")["id"], mine["id"]);
    assert_eq!(publish("Bearer ci-token", b"b")["code"], "idempotency-conflict");
}

#[test]
fn a_hub_without_credentials_answers_to_the_loopbacks_names_only() {
    let hub = Hub::start();
    let ask = |hub: &Hub, host: &str| {
        let request = format!("GET /topics HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        String::from_utf8(wire::drained(&wire::send(hub.address, request.as_bytes()))).unwrap()
    };
    for host in ["localhost", "LocalHost:1234", "hub.localhost", "127.0.0.1", "[::1]:80"] {
        assert!(ask(&hub, host).starts_with("HTTP/1.1 200"), "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "10.0.0.1"] {
        let answer = ask(&hub, host);
        assert!(answer.starts_with("HTTP/1.1 421") && answer.contains("host-unknown"), "{host}: {answer}");
    }
    assert!(ask(&Hub::start_with(&["--open"]), "hub.example").starts_with("HTTP/1.1 200"), "--open is for every name");
    let anyone = ["--access-anyone-subscribe", "**"];
    assert!(ask(&Hub::start_with(&anyone), "hub.example").starts_with("HTTP/1.1 200"), "who may do what is said");
}

#[test]
fn a_page_of_another_site_publishes_nothing_on_a_hub_without_credentials() {
    let hub = Hub::start();
    let ours = hub.url();
    for (method, target) in [("POST", "/publish?topic=t"), ("PUT", "/topics/t"), ("DELETE", "/topics/t")] {
        for origin in ["https://evil.example", "null", "http://127.0.0.1:1"] {
            let answer = wire::request(hub.address, method, target, &[("origin", origin)], b"{}");
            assert_problem(&answer, 403, "origin-forbidden");
        }
    }
    assert_eq!(hub.get("/topics").json()["topics"], json!([]));
    assert_eq!(hub.post("/publish?topic=t", &[("origin", &ours)], b"x").status, 200);
}

#[test]
fn no_credential_is_ever_logged() {
    let hub = guarded(&["--log-level", "trace"]);
    let secrets = ["s3cret-header", "s3cret-query", "s3cret-cookie", "reader-token"];
    let bearer = format!("Bearer {}", secrets[0]);
    hub.post("/publish?topic=t", &[("authorization", &bearer)], b"x");
    hub.get(&format!("/events?topic=news&access_token={}", secrets[1]));
    hub.post("/publish?topic=t", &[("cookie", &format!("gapless={}", secrets[2])), ("origin", "null")], b"x");
    drop(wire::watch(hub.address, &format!("topic=news&access_token={}", secrets[3]), None));
    let broken = format!("GET /events?access_token={} HTTP/9.9\r\n\r\n", secrets[1]);
    wire::drained(&wire::send(hub.address, broken.as_bytes()));
    eventually("it has logged something", || hub.log().contains("serving"));
    for secret in secrets {
        assert!(!hub.log().contains(secret), "{secret}: {}", hub.log());
    }
}

#[test]
fn every_answer_has_the_headers_that_keep_browsers_safe() {
    let hub = guarded(&[]);
    let answers = [
        hub.get("/"),
        hub.get("/healthz"),
        hub.get("/nowhere"),
        hub.get("/metrics"),
        with(&hub, "all", "POST", "/publish?topic=t", "x"),
        with(&hub, "all", "DELETE", "/topics/t", ""),
        wire::request(hub.address, "OPTIONS", "/publish", &[], b""),
    ];
    for answer in &answers {
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.headers.get(name), Some(value), "{name} {}", answer.status);
        }
        assert!(answer.headers.get("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
    }
}

#[test]
fn what_a_hub_would_smuggle_is_refused() {
    let hub = guarded(&[]);
    for (what, head) in [
        ("a length and chunks", "content-length: 5\r\ntransfer-encoding: chunked\r\n"),
        ("two lengths", "content-length: 5\r\ncontent-length: 6\r\n"),
        ("chunks twice over", "transfer-encoding: chunked, chunked\r\n"),
        ("a folded header", "authorization: Bearer\r\n all-token\r\ncontent-length: 1\r\n"),
        ("a space before the colon", "authorization : Bearer all-token\r\ncontent-length: 1\r\n"),
        (
            "two credentials",
            "authorization: Bearer ci-token\r\nAuthorization: Bearer all-token\r\ncontent-length: 1\r\n",
        ),
        ("a NUL in a header", "authorization: Bearer all-token\0\r\ncontent-length: 1\r\n"),
    ] {
        let request = format!(
            "POST /publish?topic=jobs/1 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{head}\r\n0\r\n\r\n"
        );
        let answer = String::from_utf8_lossy(&wire::drained(&wire::send(hub.address, request.as_bytes()))).into_owned();
        let status = answer.split(' ').nth(1).unwrap_or("hung up").to_owned();
        assert!(["400", "401", "501", "hung up"].contains(&&*status), "{what}: {answer}");
    }
    assert_eq!(with(&hub, "all", "GET", "/topics", "").json()["topics"], json!([]), "nothing came through");
}
