//! Tests of the whole configuration: flags, environment and file.

use std::{io::Write, net::SocketAddr, time::Duration};

use clap::{Args, Command, FromArgMatches};

use super::{kinds::EngineKind, listen::Listen, *};
use crate::event::TopicName;

/// Loads from these sources. The error is the text of all mistakes.
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
    load_from(flags, environment, file).expect("a valid configuration").0
}

#[test]
fn without_any_source_the_defaults_apply() {
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
fn every_key_can_be_set_by_flag_variable_and_file() {
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
            assert_eq!(effective.matches(" # ").count(), 1, "{path} has its source in a comment: {effective}");
        }
        if !["DIR", "FILE"].contains(&key.metavar) {
            load_from(&[], &[(&key.variable(), wrong)], None).expect_err(&path);
        }
    }
}

#[test]
fn all_mistakes_of_all_sources_are_reported_together() {
    let file = "lisen = \"x\"\nshards = \"four\"\n[publish]\nevent_bytes = \"1 potato\"\n[[retention.rules]]\ntopics = \"a*\"\n";
    let environment = [("GAPLESS_ENGINE", "postgres"), ("GAPLESS_STREAM_RETRY", "1ms")];
    let error =
        load_from(&["--listen", "here", "--http-connections", "0"], &environment, Some(file)).expect_err("wrong");
    assert!(error.starts_with("the configuration has 8 mistakes:"), "{error}");
    for want in [
        ":1: there is no key lisen; did you mean listen?",
        ":2: shards: \"four\" is neither",
        ":4: publish.event_bytes: \"1 potato\" is not a size",
        ":6: retention.rules: rule 1: topics: a pattern's '*'",
        "GAPLESS_ENGINE: \"postgres\" is not an engine",
        "GAPLESS_STREAM_RETRY: \"1ms\" is out of range; choose from 100ms to 1d",
        "--listen: \"here\" is not an address",
        "--http-connections: \"0\" is out of range",
    ] {
        assert!(error.contains(want), "{want}\n{error}");
    }
}

#[test]
fn a_range_includes_both_ends() {
    for (text, holds) in [("99ms", false), ("100ms", true), ("1d", true), ("86401s", false)] {
        assert_eq!(load_from(&["--stream-retry", text], &[], None).is_ok(), holds, "{text}");
    }
}

#[test]
fn an_overridden_value_is_checked_too() {
    let error = load_from(&["--shards", "2"], &[("GAPLESS_SHARDS", "many")], None).expect_err("wrong");
    assert!(error.contains("GAPLESS_SHARDS"), "{error}");
}

#[test]
fn a_missing_file_is_reported_with_the_other_mistakes() {
    let error = load_from(&["--config", "/no/such/file", "--shards", "x"], &[], None).expect_err("missing");
    assert!(error.contains("/no/such/file: cannot be read") && error.contains("--shards"), "{error}");
    let error = load_from(&[], &[("GAPLESS_CONFIG", "/no/such/file")], None).expect_err("missing");
    assert!(error.contains("/no/such/file"), "{error}");
}

#[test]
fn any_origin_never_goes_with_credentials() {
    let error =
        load_from(&["--cors-origins", "https://a.example, *", "--cors-credentials"], &[], None).expect_err("any");
    assert!(error.contains("cors.origins, cors.credentials"), "{error}");
    config(&["--cors-origins", "https://a.example", "--cors-credentials"], &[], None);
    config(&["--cors-origins", "*"], &[], None);
}

#[test]
fn listening_beyond_the_loopback_needs_open_or_credentials() {
    for beyond in ["0.0.0.0:80", "[::]:80", "192.0.2.1:80", "[::ffff:192.0.2.1]:80"] {
        let error = load_from(&["--listen", beyond], &[], None).expect_err(beyond);
        assert!(error.contains("--open"), "{error}");
        assert!(config(&["--listen", beyond, "--open"], &[], None).hub.open);
        load_from(&["--listen", beyond, "--open=false"], &[("GAPLESS_OPEN", "true")], None).expect_err(beyond);
    }
    for credentials in [["--access-anyone-subscribe", "public/**"], ["--access-anyone-publish", "inbox"]] {
        let [flag, topics] = credentials;
        config(&["--listen", "0.0.0.0:80", "--admin-listen", "0.0.0.0:81", flag, topics], &[], None);
    }
    load_from(&["--admin-listen", "0.0.0.0:81"], &[], None).expect_err("the stats listener, too");
    for loopback in ["127.0.0.1:0", "127.9.9.9:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
        config(&["--listen", loopback], &[], None);
    }
}

#[test]
fn a_limit_that_contains_another_is_not_smaller() {
    let error = load_from(&["--publish-event-bytes", "32MiB"], &[], None).expect_err("more than a batch");
    assert!(error.contains("publish.event_bytes, publish.batch_bytes"), "{error}");
    let error = load_from(&["--publish-event-bytes", "32MiB", "--publish-batch-bytes", "x"], &[], None).expect_err("x");
    assert!(error.starts_with("the configuration has a mistake"), "only the invalid value is reported: {error}");
}

#[test]
fn rules_from_the_file_and_from_a_flag_are_the_same() {
    let file = "[[retention.rules]]\ntopics = \"jobs/**\"\nmax_age = \"1d\"\n\n[[retention.rules]]\ntopics = \"logs\"\nmax_events = 5\n";
    let flag = "[{ topics = \"jobs/**\", max_age = \"1d\" }, { topics = \"logs\", max_events = 5 }]";
    let rules = config(&[], &[], Some(file)).retention_rules();
    assert_eq!(rules, config(&["--retention-rules", flag], &[], None).retention_rules());
    let of = |topic| rules.retention_for(&TopicName::new(topic).expect("valid"));
    assert_eq!(of("jobs/1").max_age, Some(Duration::from_hours(24)));
    assert_eq!((of("logs").max_events, of("other")), (Some(5), Retention::default()));
}

#[test]
fn the_printed_configuration_loads_to_the_same_configuration() {
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
fn an_inline_key_is_printed_as_an_invalid_placeholder() {
    let secret = "0123456789abcdef0123456789abcdef";
    let issuers = format!(
        "[{{ issuer = \"me\", audience = \"gapless\", algorithms = [\"HS256\"], key = \"{secret}\" }}, \
         {{ issuer = \"you\", audience = \"gapless\", algorithms = [\"EdDSA\"], jwks = \"https://login.example/keys\" }}]"
    );
    let (config, effective) = load_from(&["--access-issuers", &issuers], &[], None).expect("sound");
    assert!(!effective.contains(secret) && effective.contains("key = \"hidden\""), "{effective}");
    assert!(effective.contains("# --access-issuers; replace the hidden keys by the real ones"), "{effective}");
    assert!(!format!("{config:?}").contains(secret), "{config:?}");
    let error = load_from(&[], &[], Some(&effective)).expect_err("the placeholder is too short");
    assert!(error.contains("key is a secret of 6 bytes"), "{error}");
    let again = effective.replace("\"hidden\"", &format!("{secret:?}"));
    assert_eq!(
        format!("{config:?}"),
        format!("{:?}", self::config(&[], &[], Some(&again))),
        "everything else is printed"
    );
}

#[test]
fn mistakes_in_key_files_are_reported_with_all_others() {
    let issuers =
        "[{ issuer = \"me\", audience = \"gapless\", algorithms = [\"HS256\"], key_file = \"/no/such/key\" }]";
    let error = load_from(
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
        assert!(error.contains(want), "{want}\n{error}");
    }
}

#[test]
fn an_empty_variable_is_unset_and_an_unrelated_one_is_ignored() {
    let environment = [("GAPLESS_SHARDS", ""), ("GAPLESS_CONFIG", ""), ("GAPLESS_PORT", "tcp://10.0.0.1:80")];
    config(&[], &environment, None);
    let (_, effective) = load_from(&[], &[("GAPLESS_DEPLOYED_BY", "ann")], None).expect("sound");
    assert!(effective.starts_with("# GAPLESS_DEPLOYED_BY is not a setting; it is ignored\n"), "{effective}");
    let error = load_from(&[], &[("GAPLESS_LISTENN", "1")], None).expect_err("mistyped");
    assert!(error.contains("GAPLESS_LISTENN: is not a setting; did you mean GAPLESS_LISTEN?"), "{error}");
}

#[test]
fn the_short_way_adds_public_providers_and_a_table_of_the_same_name_counts() {
    let file = "[relay]\nkeep = \"2h\"\ndialects = \"anthropic\"\n[relay.providers.openai]\nurl = \"http://127.0.0.1:9/v\"\n\
                [relay.providers.lab]\ndialect = \"gemini\"\nurl = \"http://127.0.0.1:8\"\n";
    let names = |flags: &[&str], environment: &[(&str, &str)]| {
        let relay = config(flags, environment, Some(file)).relay;
        let names =
            relay.providers.iter().map(|provider| format!("{}={}", provider.name, provider.url.server.authority));
        names.collect::<Vec<_>>().join(" ")
    };
    let tables = "lab=127.0.0.1:8 openai=127.0.0.1:9";
    assert_eq!(names(&[], &[]), format!("{tables} anthropic=api.anthropic.com"));
    assert_eq!(names(&["--relay", "openai,ollama"], &[]), format!("{tables} ollama=127.0.0.1:11434"));
    let variable = [("GAPLESS_RELAY", "ollama, openai, ollama")];
    assert_eq!(names(&[], &variable), format!("{tables} ollama=127.0.0.1:11434"));
    assert_eq!(names(&["--relay", "none"], &variable), tables);
    assert!(config(&[], &[], None).relay.providers.is_empty(), "off unless asked for");

    let flag =
        "{ lab = { dialect = \"gemini\", url = \"http://127.0.0.1:8\" }, openai = { url = \"http://127.0.0.1:9/v\" } }";
    let by_flag = config(&["--relay-providers", flag, "--relay", "anthropic"], &[], None).relay.providers;
    let (by_file, effective) = load_from(&[], &[], Some(file)).expect("sound");
    assert_eq!(by_flag, by_file.relay.providers);
    let again = config(&[], &[], Some(&effective));
    assert_eq!(format!("{by_file:?}"), format!("{again:?}"), "{effective}");
}

#[test]
fn every_mistake_of_a_provider_has_its_line() {
    let file = "[relay]\nruns = 0\n\n[relay.providers.openai]\nkey_env = \"sk-1\"\n[relay.providers.lab]\nmodles = 1\n\
                url = \"http://127.0.0.1:8\"\n[relay.providers]\nx = 1\nY.url = \"ftp://a\"\nY.dialect = \"openai\"\n";
    let error = load_from(&["--relay", "gpt"], &[("GAPLESS_RELAY_PROVIDERS", "7")], Some(file)).expect_err("wrong");
    for want in [
        ":2: relay.runs: \"0\" is out of range",
        ":5: relay.providers: provider \"openai\": key_env is not",
        ":6: relay.providers: provider \"lab\": dialect is missing",
        ":7: relay.providers: provider \"lab\": there is no key \"modles\"",
        ":10: relay.providers: provider \"x\": it is not a table",
        ":11: relay.providers: provider \"Y\": a name has",
        ":11: relay.providers: provider \"Y\": url is not an http",
        "--relay: \"gpt\" is not a dialect",
        "GAPLESS_RELAY_PROVIDERS: is not a table of providers; write it like",
    ] {
        assert!(error.contains(want), "{want}\n{error}");
    }
    assert!(error.starts_with("the configuration has 9 mistakes:") && !error.contains("sk-1"), "{error}");
    let error = load_from(&[], &[], Some("relay = \"openai\"\n")).expect_err("a section");
    assert!(error.contains(":1: relay is a section, not a key; write [relay]"), "{error}");
}

#[test]
fn a_missing_key_of_a_provider_is_reported_with_the_others() {
    let providers = "{ openai = { key_env = \"NO_SUCH_VARIABLE_OF_GAPLESS\" }, lab = { dialect = \"openai\", key_file = \"/no/such/key\" }, \
                     ollama = {}, path = { dialect = \"gemini\", key_env = \"PATH\" } }";
    let config = config(&["--relay-providers", providers], &[], None);
    let errors = config.check_provider_keys().expect_err("missing").to_string();
    for want in [
        "relay.providers.openai: the key is missing: set the environment variable NO_SUCH_VARIABLE_OF_GAPLESS",
        "relay.providers.lab: /no/such/key cannot be read",
    ] {
        assert!(errors.contains(want), "{want}\n{errors}");
    }
    assert!(errors.starts_with("the configuration has 2 mistakes:"), "{errors}");
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
