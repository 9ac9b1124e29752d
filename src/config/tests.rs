//! What a configuration promises, through its front door.

use std::{io::Write, net::SocketAddr, time::Duration};

use clap::{Args, Command, FromArgMatches};

use super::{kinds::EngineKind, listen::Listen, *};
use crate::event::TopicName;

/// Loads from these sources; the answer's error is the text of all mistakes.
fn load_from(flags: &[&str], environment: &[(&str, &str)], file: Option<&str>) -> Result<(Config, String), String> {
    let mut arguments = vec!["gapless".to_owned()];
    arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
    let mut written = tempfile::NamedTempFile::new().expect("a temporary file");
    if let Some(text) = file {
        written.write_all(text.as_bytes()).expect("written");
        arguments.extend(["--config".to_owned(), written.path().display().to_string()]);
    }
    let matches = Flags::augment_args(Command::new("gapless")).try_get_matches_from(arguments).expect("known flags");
    let flags = Flags::from_arg_matches(&matches).expect("flags");
    let environment = environment.iter().map(|&(name, value)| (name.to_owned(), value.into()));
    load_with(&flags, &Environment::new(environment))
        .map(|(config, effective)| (config, effective.to_string()))
        .map_err(|errors| errors.to_string())
}

fn config(flags: &[&str], environment: &[(&str, &str)], file: Option<&str>) -> Config {
    load_from(flags, environment, file).expect("a sound configuration").0
}

#[test]
fn without_any_source_the_defaults_hold() {
    let config = config(&[], &[], None);
    assert_eq!(config.hub.listen, [Listen::Address(SocketAddr::from(([127, 0, 0, 1], 8080)))]);
    assert_eq!(config.hub.engine, EngineKind::Sled);
    assert_eq!((config.stream.retry, config.stream.keepalive), (3_000, Duration::from_secs(15)));
    assert_eq!((config.publish.event_bytes, config.publish.batch_bytes), (1 << 20, 16 << 20));
    let rules = config.retention_rules();
    assert_eq!((rules.default, rules.max_store_bytes), (Retention::default(), Some(10 << 30)));
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
    let file = Some("[stream]\nkeepalive = \"20s\"\nretry = \"2s\"\ntopics = 20\n");
    let environment = [("GAPLESS_STREAM_KEEPALIVE", "30s"), ("GAPLESS_STREAM_RETRY", "4s")];
    let config = config(&["--stream-keepalive", "40s"], &environment, file);
    assert_eq!(config.stream.keepalive, Duration::from_secs(40));
    assert_eq!(config.stream.retry, 4_000);
    assert_eq!(config.stream.topics, 20);
    assert_eq!(config.stream.write_timeout, Duration::from_secs(30));
}

#[test]
fn every_key_is_a_flag_and_a_variable_and_a_line_of_the_file() {
    for key in KEYS {
        let flag = format!("--{}={}", key.flag(), key.default);
        let variable = [(&*key.variable(), key.default)];
        let value = if key.is_toml { key.default.to_owned() } else { format!("{:?}", key.default) };
        let line = format!("{} = {value}", key.path());
        let (path, wrong) = (key.path(), "\u{1}wrong");
        for (flags, environment, file) in
            [(&[&*flag][..], &[][..], None), (&[], &variable, None), (&[], &[], Some(&*line))]
        {
            let (_, effective) = load_from(flags, environment, file).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!(effective.matches(" # ").count(), 1, "{path} comes from its source: {effective}");
        }
        if !["DIR", "FILE"].contains(&key.metavar) {
            load_from(&[], &[(&key.variable(), wrong)], None).expect_err(&path);
        }
    }
}

#[test]
fn all_mistakes_of_all_sources_are_told_at_once() {
    let file = "lisen = \"x\"\nshards = \"four\"\n[publish]\nevent_bytes = \"1 potato\"\n[[retention.rules]]\ntopics = \"a*\"\n";
    let environment = [("GAPLESS_ENGINE", "postgres"), ("GAPLESS_STREAM_RETRY", "1ms")];
    let told =
        load_from(&["--listen", "here", "--http-connections", "0"], &environment, Some(file)).expect_err("wrong");
    assert!(told.starts_with("the configuration has 8 mistakes:"), "{told}");
    for want in [
        ":1: there is no key lisen; did you mean listen?",
        ":2: shards: \"four\" is neither",
        ":4: publish.event_bytes: \"1 potato\" is not a size",
        ":6: retention.rules: rule 1: topics: a pattern's '*'",
        "GAPLESS_ENGINE: \"postgres\" is no engine",
        "GAPLESS_STREAM_RETRY: \"1ms\" is out of range; choose from 100ms to 1d",
        "--listen: \"here\" is not an address",
        "--http-connections: \"0\" is out of range",
    ] {
        assert!(told.contains(want), "{want}\n{told}");
    }
}

#[test]
fn a_range_holds_its_ends_and_nothing_beyond() {
    for (text, holds) in [("99ms", false), ("100ms", true), ("1d", true), ("86401s", false)] {
        assert_eq!(load_from(&["--stream-retry", text], &[], None).is_ok(), holds, "{text}");
    }
}

#[test]
fn a_value_that_loses_is_judged_all_the_same() {
    let told = load_from(&["--shards", "2"], &[("GAPLESS_SHARDS", "many")], None).expect_err("wrong");
    assert!(told.contains("GAPLESS_SHARDS"), "{told}");
}

#[test]
fn a_missing_file_is_told_with_the_other_mistakes() {
    let told = load_from(&["--config", "/no/such/file", "--shards", "x"], &[], None).expect_err("missing");
    assert!(told.contains("/no/such/file: cannot be read") && told.contains("--shards"), "{told}");
    let told = load_from(&[], &[("GAPLESS_CONFIG", "/no/such/file")], None).expect_err("missing");
    assert!(told.contains("/no/such/file"), "{told}");
}

#[test]
fn pages_of_any_site_never_use_cookies() {
    let told =
        load_from(&["--cors-origins", "https://a.example, *", "--cors-credentials"], &[], None).expect_err("any");
    assert!(told.contains("cors.origins, cors.credentials"), "{told}");
    config(&["--cors-origins", "https://a.example", "--cors-credentials"], &[], None);
    config(&["--cors-origins", "*"], &[], None);
}

#[test]
fn listening_beyond_the_loopback_needs_open_or_credentials() {
    for beyond in ["0.0.0.0:80", "[::]:80", "192.0.2.1:80", "[::ffff:192.0.2.1]:80"] {
        let told = load_from(&["--listen", beyond], &[], None).expect_err(beyond);
        assert!(told.contains("--open"), "{told}");
        assert!(config(&["--listen", beyond, "--open"], &[], None).hub.open);
        load_from(&["--listen", beyond, "--open=false"], &[("GAPLESS_OPEN", "true")], None).expect_err(beyond);
    }
    for credentials in [["--access-anyone-subscribe", "public/**"], ["--access-anyone-publish", "inbox"]] {
        let [flag, topics] = credentials;
        config(&["--listen", "0.0.0.0:80", "--admin-listen", "0.0.0.0:81", flag, topics], &[], None);
    }
    load_from(&["--admin-listen", "0.0.0.0:81"], &[], None).expect_err("the figures, too");
    for loopback in ["127.0.0.1:0", "127.9.9.9:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
        config(&["--listen", loopback], &[], None);
    }
}

#[test]
fn a_limit_that_must_hold_another_is_not_smaller() {
    let told = load_from(&["--publish-event-bytes", "32MiB"], &[], None).expect_err("more than a batch");
    assert!(told.contains("publish.event_bytes, publish.batch_bytes"), "{told}");
    let told = load_from(&["--publish-event-bytes", "32MiB", "--publish-batch-bytes", "x"], &[], None).expect_err("x");
    assert!(told.starts_with("the configuration has a mistake"), "only what was written is judged: {told}");
}

#[test]
fn rules_come_from_the_file_or_a_flag_alike() {
    let file = "[[retention.rules]]\ntopics = \"jobs/**\"\nmax_age = \"1d\"\n\n[[retention.rules]]\ntopics = \"logs\"\nmax_events = 5\n";
    let flag = "[{ topics = \"jobs/**\", max_age = \"1d\" }, { topics = \"logs\", max_events = 5 }]";
    let rules = config(&[], &[], Some(file)).retention_rules();
    assert_eq!(rules, config(&["--retention-rules", flag], &[], None).retention_rules());
    let of = |topic| rules.retention_for(&TopicName::new(topic).expect("valid"));
    assert_eq!(of("jobs/1").max_age, Some(Duration::from_hours(24)));
    assert_eq!((of("logs").max_events, of("other")), (Some(5), Retention::default()));
}

#[test]
fn the_effective_configuration_is_a_file_that_gives_itself_again() {
    let rules = "[{ topics = \"jobs/**\", max_age = \"1d\" }]";
    let flags = ["--listen", "127.0.0.1:0", "--retention-rules", rules, "--data", "0123", "--open"];
    let (first, effective) = load_from(&flags, &[("RUST_LOG", "gapless=debug")], None).expect("sound");
    let again = config(&[], &[], Some(&effective));
    assert_eq!(format!("{first:?}"), format!("{again:?}"), "{effective}");
    for want in ["# --listen", "# RUST_LOG", "\nkeepalive = \"15s\"\n", "data = \"0123\""] {
        assert!(effective.contains(want), "{want}\n{effective}");
    }
}

#[test]
fn an_inline_key_is_never_printed_and_what_is_printed_instead_is_no_key() {
    let secret = "0123456789abcdef0123456789abcdef";
    let issuers = format!(
        "[{{ issuer = \"me\", audience = \"gapless\", algorithms = [\"HS256\"], key = \"{secret}\" }}, \
         {{ issuer = \"you\", audience = \"gapless\", algorithms = [\"EdDSA\"], jwks = \"https://login.example/keys\" }}]"
    );
    let (config, effective) = load_from(&["--access-issuers", &issuers], &[], None).expect("sound");
    assert!(!effective.contains(secret) && effective.contains("key = \"hidden\""), "{effective}");
    assert!(effective.contains("# --access-issuers; write the hidden keys in again"), "{effective}");
    assert!(!format!("{config:?}").contains(secret), "{config:?}");
    let told = load_from(&[], &[], Some(&effective)).expect_err("nobody's secret is hidden");
    assert!(told.contains("key is a secret of 6 bytes"), "{told}");
    let again = effective.replace("\"hidden\"", &format!("{secret:?}"));
    assert_eq!(format!("{config:?}"), format!("{:?}", self::config(&[], &[], Some(&again))), "all else is there");
}

#[test]
fn mistakes_in_the_files_of_keys_are_told_with_all_others() {
    let issuers =
        "[{ issuer = \"me\", audience = \"gapless\", algorithms = [\"HS256\"], key_file = \"/no/such/key\" }]";
    let told = load_from(
        &[
            "--access-issuers",
            issuers,
            "--shards",
            "x",
            "--access-revoked",
            "/no/such/list",
            "--tls-cert",
            "/no/such/chain",
            "--tls-key",
            "/no/such/secret",
            "--tls-acme-roots",
            "/no/such/roots",
        ],
        &[],
        None,
    )
    .expect_err("wrong");
    for want in [
        "access.issuers: issuer 1 (\"me\"): /no/such/key cannot be read",
        "--shards",
        "access.revoked: /no/such/list",
        "tls.cert: /no/such/chain cannot be read",
        "tls.key: /no/such/secret cannot",
        "tls.acme_roots: /no/such/roots cannot",
    ] {
        assert!(told.contains(want), "{want}\n{told}");
    }
}

#[test]
fn an_empty_variable_is_none_and_a_foreign_one_is_ignored() {
    let environment = [("GAPLESS_SHARDS", ""), ("GAPLESS_CONFIG", ""), ("GAPLESS_PORT", "tcp://10.0.0.1:80")];
    config(&[], &environment, None);
    let (_, effective) = load_from(&[], &[("GAPLESS_DEPLOYED_BY", "ann")], None).expect("sound");
    assert!(effective.starts_with("# GAPLESS_DEPLOYED_BY is no setting; it is ignored\n"), "{effective}");
    let told = load_from(&[], &[("GAPLESS_LISTENN", "1")], None).expect_err("mistyped");
    assert!(told.contains("GAPLESS_LISTENN: is no setting; did you mean GAPLESS_LISTEN?"), "{told}");
}

#[test]
fn every_flag_is_one_line_of_help_on_a_terminal_of_100_columns() {
    let mut command = Flags::augment_args(Command::new("gapless").term_width(100));
    let help = command.render_help().to_string();
    for key in KEYS {
        let line = help.lines().find(|line| line.contains(&format!("--{}", key.flag()))).expect("a flag");
        assert!(line.ends_with(&format!("[default: {}]", key.default)), "{line}");
    }
}
