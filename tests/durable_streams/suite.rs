//! The public suite, unchanged.

use std::process::Command;

use serde_json::Value;

use crate::{
    child::{here, tool},
    stream::PROTOCOL,
    support::hub::Hub,
};

/// Tests of version 0.3.6. Six more are of the subscription API, which it leaves out unless it is asked for.
const TESTS: u64 = 332;

/// The suite's test for a preflight needs an origin that is allowed.
const OTHER_SITES: [&str; 2] = ["--cors-origins", "*"];

#[test]
fn the_public_suite_passes() {
    let hub = Hub::start_with(&[&PROTOCOL[..], &OTHER_SITES].concat());
    let place = here("tests/durable_streams");
    let output = Command::new(tool("node"))
        .args(["node_modules/vitest/vitest.mjs", "run", "suite.test.mjs", "--reporter=json"])
        // vitest sets BASE_URL itself.
        .env("HUB_URL", hub.url())
        .current_dir(place)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("{error}; run `make install`: {text}\n{}", String::from_utf8_lossy(&output.stderr))
    });
    let results = report["testResults"].as_array().unwrap().iter();
    let tests = results.flat_map(|result| result["assertionResults"].as_array().unwrap());
    let failed: Vec<_> = tests.filter(|test| test["status"] == "failed").collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!((&report["numPassedTests"], &report["numFailedTests"]), (&TESTS.into(), &0.into()));
}
