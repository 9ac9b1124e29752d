//! Tests of `gapless token`, with a configuration of one secret.

use std::time::Duration;

use clap::Parser;

use super::{explain::explain, *};
use crate::{
    access::settings::{IssuerSettings, KeySource, StaticToken},
    config::kinds::ValueKind,
};

#[derive(Parser)]
struct TestCli {
    #[command(flatten)]
    args: TokenArgs,
}

fn parsed(line: &[&str]) -> Result<TokenArgs, clap::Error> {
    TestCli::try_parse_from([&["token"], line].concat()).map(|cli| cli.args)
}

const NOW: u64 = 1_795_233_960;

fn settings() -> AccessSettings {
    let keys = KeySource::Inline("0123456789abcdef0123456789abcdef".into());
    let issuer =
        IssuerSettings { issuer: "me".into(), audience: "gapless".into(), algorithms: vec!["HS256".into()], keys };
    AccessSettings { issuers: vec![issuer], ..AccessSettings::default() }
}

/// The explanation of `token`, and whether the command succeeds.
fn explained(token: &str, line: &[&str], settings: AccessSettings) -> (String, bool) {
    let args = parsed(&[&["--explain", token], line].concat()).expect("a command line");
    let mut out = Vec::new();
    let outcome = explain(token, &args, settings, NOW, &mut out);
    (String::from_utf8(out).expect("text"), outcome.is_ok())
}

fn minted(line: &[&str], now: u64) -> String {
    let grant = parsed(line).expect("a command line").grant().expect("something");
    Mint::new(&settings(), None, None).expect("a secret").token(&grant, Some("ann"), now, 60)
}

#[test]
fn a_valid_token_is_explained_with_its_permissions() {
    let token = minted(&["--publish", "jobs/*", "--subscribe", "jobs/**", "--subscribe", "news"], NOW);
    let (text, good) = explained(&token, &["--topic", "jobs/42", "--topic", "jobs/*"], settings());
    assert!(good, "{text}");
    for want in [
        "valid\n",
        "issuer    \"me\"",
        "holder    \"ann of me\"",
        "2026-11-21T04:07:00.000Z (1m left)",
        "subscribe jobs/**, news",
        "admin     no",
        "revoke it sha256:",
        "may publish to jobs/42: by jobs/*",
        "may subscribe to jobs/42: by jobs/**",
        "may not publish to jobs/*: an event has one topic",
        "may subscribe to jobs/*: by jobs/**",
    ] {
        assert!(text.contains(want), "{want}\n{text}");
    }
}

#[test]
fn the_expiry_is_that_of_the_token_and_the_leeway_is_shown_beside_it() {
    let lenient = || AccessSettings { leeway: Duration::from_secs(30), ..settings() };
    // Each is valid for a minute.
    for (made, good, want) in [
        (NOW, true, "2026-11-21T04:07:00.000Z (1m left)"),
        (NOW - 70, true, "2026-11-21T04:05:50.000Z (expired, but accepted for 20s more by access.leeway)"),
        (NOW - 100, false, "2026-11-21T04:05:20.000Z (expired)"),
    ] {
        let (text, is_good) = explained(&minted(&["--admin"], made), &[], lenient());
        assert!(is_good == good && text.contains(want), "{text}");
        let ends = text.matches("2026-").count();
        assert_eq!(ends, if good { 1 } else { 2 }, "{text}");
    }
    let (text, _) = explained(&minted(&["--admin"], NOW - 100), &[], lenient());
    assert!(text.starts_with("not valid: the token expired at 2026-11-21T04:05:20Z"), "the same one: {text}");
}

#[test]
fn a_missing_permission_is_explained_with_the_nearest_grant() {
    let token = minted(&["--publish", "jobs/*"], NOW);
    let (text, good) =
        explained(&token, &["--topic", "jobs/1", "--topic", "jobs/1/log", "--to", "publish"], settings());
    assert!(text.contains("may publish to jobs/1: by jobs/*") && !text.contains("subscribe to"), "{text}");
    assert!(text.contains("may not publish to jobs/1/log: nearest is jobs/*, but it has only 2 segments"), "{text}");
    assert!(!good, "one topic is not permitted");
}

#[test]
fn an_invalid_token_is_explained_with_everything_that_is_wrong() {
    let (text, good) = explained(&minted(&["--admin"], NOW - 100), &[], settings());
    assert!(!good && text.starts_with("not valid: the token expired at 2026-11-21T04:05:20Z"), "{text}");
    let mut other = settings();
    other.issuers[0].audience = "elsewhere".into();
    let (text, good) = explained(&minted(&["--admin"], NOW), &[], other);
    assert!(!good && text.contains("claim aud must be \"elsewhere\""), "{text}");
    let mut other = settings();
    other.issuers[0].keys = KeySource::Inline("another secret of enough bytes, it is".into());
    let (text, good) = explained(&minted(&["--admin"], NOW), &[], other);
    assert!(!good && text.contains("no key that this hub trusts") && !text.contains("ann"), "{text}");
    let old = minted(&["--publish", "jobs/*"], NOW - 100);
    let (text, good) = explained(&old, &["--topic", "jobs/1", "--to", "publish"], settings());
    assert!(!good && text.ends_with("could, if it were valid, publish to jobs/1: by jobs/*\n"), "{text}");
}

#[test]
fn keys_that_cannot_be_fetched_are_reported() {
    let mut away = settings();
    away.issuers[0].algorithms = vec!["HS256".into()];
    let keys = KeySource::Jwks("http://127.0.0.1:1/keys".into());
    away.issuers.push(IssuerSettings { algorithms: vec!["ES256".into()], keys, ..away.issuers[0].clone() });
    let (text, good) = explained(&minted(&["--admin"], NOW), &[], away.clone());
    assert!(good && !text.contains("127.0.0.1"), "a secret needs no network: {text}");
    let (text, good) = explained("eyJhbGciOiJFUzI1NiJ9.e30.AAAA", &[], away);
    assert!(!good && text.contains("keys cannot be fetched: http://127.0.0.1:1/keys: cannot be reached"), "{text}");
    assert!(text.contains("not verified: its issuer's keys are not available"), "{text}");
}

#[test]
fn a_static_token_comes_with_a_working_configuration_entry() {
    let args = parsed(&["--static", "--name", "c'i", "--publish", "builds/**", "--admin"]).expect("a command line");
    let text = entry("c'i", &args.grant().expect("something"));
    let (token, rest) = text.split_once("\n\n").expect("the token, and its entry");
    let table: toml::Table = rest.parse().expect("TOML");
    let list = table["access"]["tokens"].to_string();
    let tokens: Vec<StaticToken> = crate::config::access::TokenList::parse(&list).expect("an entry");
    assert_eq!((&*tokens[0].name, tokens[0].grant.admin), ("c'i", true));
    let (text, good) =
        explained(token, &["--topic", "builds/1", "--to", "publish"], AccessSettings { tokens, ..settings() });
    assert!(good && text.contains("static token") && text.contains("by builds/**"), "{text}");
}

#[test]
fn an_inconsistent_command_line_is_refused() {
    for line in [
        &["--static"][..],
        &["--name", "ci"],
        &["--static", "--name", "c i"],
        &["--publish", "a*"],
        &["--topic", "a"],
        &["--to", "publish"],
        &["--ttl", "0s"],
        &["--ttl", "367d"],
        &["--explain", "x", "--admin"],
        &["--static", "--name", "x", "--ttl", "1h"],
    ] {
        assert!(parsed(line).is_err(), "{line:?}");
    }
    assert!(parsed(&["--ttl", "366d", "--admin"]).is_ok());
    assert!(parsed(&[]).expect("a command line").grant().expect_err("nothing").to_string().contains("--publish"));
}

#[test]
fn a_token_from_a_pipe_has_no_line_break() {
    assert_eq!(read_token(&b"a.b.c\r\n"[..]).expect("text"), "a.b.c");
    assert_eq!(read_token(&[b'x'; 9000][..]).expect("text").len(), MAX_CREDENTIAL_BYTES + 3, "reading is bounded");
    assert!(read_token(&b"\xff"[..]).is_err());
}
