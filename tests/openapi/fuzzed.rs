//! schemathesis: requests made of the description, valid and not, to the real hub.

use std::process::Command;

use crate::{child::here, installed, whole_hub};

/// What is checked of each answer. Not `positive_data_acceptance`: a schema cannot say all of what a hub refuses, as a topic that is
/// closed, two parameters that exclude each other, or a provider that does not exist.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,negative_data_rejection,missing_required_header,unsupported_method,\
                      allow_header_conformance,use_after_free";

#[test]
fn generated_requests_find_no_answer_that_is_not_described() {
    let (hub, _site) = whole_hub();
    let output = Command::new(installed("schemathesis"))
        .args(["--config-file", &here("tests/openapi/schemathesis.toml"), "run"])
        .arg(format!("{}/openapi.json", hub.url()))
        .args(["--checks", CHECKS, "--seed", "1", "--max-examples", "12", "--request-timeout", "20"])
        .args(["--generation-database", "none", "--warnings", "off", "--no-color"])
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
