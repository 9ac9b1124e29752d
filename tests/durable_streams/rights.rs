//! Who may do what: the grants are those of the topic.

use crate::{
    stream::{PROTOCOL, Stream, TEXT},
    support::{assert_problem, hub::Hub, tokens, wire::Answer},
};

const ENTRIES: [(&str, &str); 5] = [
    ("writer", "publish = [\"s/*\"]"),
    ("reader", "subscribe = [\"s/*\"]"),
    ("forker", "publish = [\"s/*\"], subscribe = [\"s/open\"]"),
    ("admin", "admin = true"),
    ("all", "publish = [\"**\"], subscribe = [\"**\"], admin = true"),
];

fn guarded() -> Hub {
    let tokens = tokens(&ENTRIES);
    Hub::start_with(&[&PROTOCOL[..], &["--access-tokens", &tokens]].concat())
}

/// A request with the token of `name`, or with none.
fn with(stream: &Stream, name: &str, method: &str, query: &str, headers: &[(&str, &str)]) -> Answer {
    let bearer = format!("Bearer {name}-token");
    let token: &[_] = if name.is_empty() { &[] } else { &[("authorization", &*bearer)] };
    let body: &[u8] = if matches!(method, "PUT" | "POST") { b"x" } else { b"" };
    stream.send(method, query, &[&[("content-type", TEXT)], token, headers].concat(), body)
}

#[test]
fn each_method_needs_its_grant() {
    let hub = guarded();
    let (stream, elsewhere) = (Stream::at(&hub, "s/1"), Stream::at(&hub, "elsewhere"));
    assert_eq!(with(&elsewhere, "all", "PUT", "", &[]).status, 201);
    for (method, query, may, answered) in [
        ("PUT", "", "writer", 201),
        ("PUT", "", "writer", 200),
        ("POST", "", "writer", 204),
        ("GET", "", "reader", 200),
        ("GET", "?offset=-1&live=long-poll", "reader", 200),
        ("HEAD", "", "reader", 200),
        ("DELETE", "", "admin", 204),
    ] {
        let what = format!("{method} {query}");
        let anonymous = with(&stream, "", method, query, &[]);
        assert_eq!(anonymous.status, 401, "{what}");
        assert!(anonymous.headers.get("www-authenticate").is_some(), "{what}");
        assert_eq!(with(&stream, "wrong", method, query, &[]).status, 401, "{what}");
        for name in ["writer", "reader", "forker", "admin"] {
            // It may publish here, too.
            if name != may && (name, may) != ("forker", "writer") {
                assert_eq!(with(&stream, name, method, query, &[]).status, 403, "{name}: {what}");
            }
            if name != "admin" {
                assert_eq!(with(&elsewhere, name, method, query, &[]).status, 403, "{name}, elsewhere: {what}");
            }
        }
        assert_eq!(with(&stream, may, method, query, &[]).status, answered, "{what}");
    }
    assert_problem(&with(&elsewhere, "reader", "GET", "?offset=-1&live=sse", &[]), 403, "forbidden");
    assert_problem(&with(&elsewhere, "", "GET", "?offset=-1&live=sse", &[]), 401, "unauthorized");
}

#[test]
fn a_fork_needs_the_right_to_read_its_source() {
    let hub = guarded();
    let (open, secret) = (Stream::at(&hub, "s/open"), Stream::at(&hub, "s/secret"));
    for stream in [&open, &secret] {
        assert_eq!(with(stream, "all", "PUT", "", &[]).status, 201);
    }
    let fork = Stream::at(&hub, "s/fork");
    let of = |source: &Stream, name: &str| with(&fork, name, "PUT", "", &[("stream-forked-from", &source.path)]);
    assert_eq!(of(&secret, "").status, 401);
    for name in ["writer", "reader", "forker", "admin"] {
        assert_problem(&of(&secret, name), 403, "forbidden");
    }
    assert_problem(&of(&open, "writer"), 403, "forbidden");
    assert_eq!(with(&fork, "all", "HEAD", "", &[]).status, 404, "none was made");
    assert_eq!(of(&open, "forker").status, 201);
    let missing = Stream::at(&hub, "s/missing");
    assert_problem(&of(&missing, "forker"), 403, "forbidden");
}

#[test]
fn a_shared_cache_keeps_nothing() {
    let hub = guarded();
    let stream = Stream::at(&hub, "s/1");
    assert_eq!(with(&stream, "all", "PUT", "", &[]).status, 201);
    for query in ["", "?offset=now", "?offset=-1&live=long-poll"] {
        let answer = with(&stream, "reader", "GET", query, &[]);
        let caching = answer.headers.get("cache-control").unwrap();
        assert!(caching.contains("private") || caching.contains("no-store"), "{query}: {caching}");
        let all = answer.headers.all().iter();
        let vary: String = all.filter(|(name, _)| name == "vary").map(|(_, value)| value.to_lowercase()).collect();
        assert!(vary.contains("authorization") && vary.contains("cookie"), "{query}: {vary}");
    }
}

#[test]
fn a_page_does_not_run_a_stream() {
    let hub = Hub::start_with(&PROTOCOL);
    let stream = Stream::at(&hub, "s/1");
    assert_eq!(stream.send("PUT", "", &[("content-type", "text/javascript")], b"alert(1)").status, 201);
    for query in ["", "?offset=-1", "?offset=-1&live=sse"] {
        for destination in ["script", "worker", "style"] {
            let answer = stream.send("GET", query, &[("sec-fetch-dest", destination)], b"");
            assert_problem(&answer, 403, "origin-forbidden");
        }
    }
    assert_eq!(stream.send("GET", "?offset=-1", &[("sec-fetch-dest", "empty")], b"").text(), "alert(1)");
}
