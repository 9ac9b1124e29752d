//! schemathesis: requests made of the description, valid and not, to the real hub. `GAPLESS_SEED=K` sends others.

use std::process::Command;

use crate::{
    child::here,
    installed, speaking_mercure,
    support::{hub::Hub, tokens},
    whole_hub,
};

/// What is checked of each answer. Not `positive_data_acceptance`: a schema cannot say all of what a hub refuses, as two parameters that
/// exclude each other, a key for a stream, or the integer `136.0`. Not `ignored_auth`, because a hub may be open. Not
/// `object_level_authorization`, which needs a second user: what each grant permits is in `tests/promises/access.rs`.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,negative_data_rejection,missing_required_header,unsupported_method,\
                      allow_header_conformance,use_after_free,ensure_resource_availability";

/// Requests that are made of each operation in each phase, at most.
const MAX_EXAMPLES: &str = "12";

/// What is not asked for: a stream that does not end, in whatever form it is asked for. It is in `recorded.rs`.
const ENDLESS: &str = "subscribeByMercure";

fn finds_nothing(hub: &Hub, arguments: &[&str]) {
    let seed = std::env::var("GAPLESS_SEED").unwrap_or_else(|_| "1".into());
    let output = Command::new(installed("schemathesis"))
        .args(["--config-file", &here("tests/openapi/schemathesis.toml"), "run"])
        .arg(format!("{}/openapi.json", hub.url()))
        .args(["--checks", CHECKS, "--seed", &seed, "--max-examples", MAX_EXAMPLES, "--request-timeout", "20"])
        .args(["--exclude-operation-id", ENDLESS])
        .args(["--generation-database", "none", "--warnings", "off", "--no-color"])
        .args(arguments)
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONPATH", here("tests/openapi"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(std::env::temp_dir())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}\n{}", String::from_utf8_lossy(&output.stderr), hub.log());
    println!("{said}");
}

#[test]
fn generated_requests_find_no_answer_that_is_not_described() {
    let (hub, _site) = whole_hub();
    finds_nothing(&hub, &[]);
}

#[test]
fn a_hub_with_credentials_refuses_as_it_is_described() {
    let tokens = tokens(&[("reader", "subscribe = [\"jobs/**\"]")]);
    let directory = tempfile::tempdir().unwrap();
    let mercure = speaking_mercure(&directory);
    let mercure = mercure.each_ref().map(|argument| &**argument);
    let own = ["--engine", "memory", "--access-tokens", &tokens, "--protocols", "mercure"];
    let hub = Hub::start_with(&[&own[..], &mercure].concat());
    let phases = ["--phases", "examples,coverage"];
    finds_nothing(&hub, &phases);
    finds_nothing(&hub, &[&phases[..], &["--header", "Authorization: Bearer reader-token"]].concat());
}
