//! The SDKs of CloudEvents for JavaScript and Python, unchanged: what they publish in each mode, either reads back from the
//! hub, which is killed in between.

#![expect(clippy::unwrap_used, reason = "tests")]

#[allow(dead_code, reason = "shared with the third-party clients, which use all of it")]
#[path = "../clients/child.rs"]
mod child;
#[allow(dead_code, reason = "shared with the promises, which use all of it")]
#[path = "../promises/support/mod.rs"]
mod support;

use std::{
    path::Path,
    process::{Command, Stdio},
};

use child::{here, tool};
use support::hub::Hub;

/// Runs a script; its output, which is the events that it has published, or read, as it understands them.
fn run(script: &str, arguments: &[&str]) -> Vec<String> {
    let is_python = Path::new(script).extension().is_some_and(|kind| kind == "py");
    let program = if is_python { here("target/cloudevents-venv/bin/python") } else { tool("node") };
    let output = Command::new(program)
        .arg(here(&format!("tests/cloudevents/{script}")))
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{script} {arguments:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn what_one_sdk_publishes_every_sdk_reads() {
    let mut hub = Hub::start();
    let mut published = Vec::new();
    for script in ["sdk.mjs", "sdk.py"] {
        published.extend(run(script, &["publish", &hub.url(), "orders"]));
        hub.kill();
        hub = hub.again();
    }
    assert!(published.len() > 10, "{published:?}");
    for script in ["sdk.mjs", "sdk.py"] {
        for form in ["binary", "structured", "batch", "stream"] {
            assert_eq!(run(script, &["read", &hub.url(), "orders", form]), published, "{script}, {form}");
        }
    }
}
