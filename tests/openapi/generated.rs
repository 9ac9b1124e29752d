//! A client that openapi-generator makes of the description: it compiles, publishes, reads a page and understands a problem.
//!
//! It takes no null for a member that is an object and required. So `relay` of `Caller` and `error` of a run, which are always there and
//! may be null, are not among the required members of the description.

use std::{fs, process::Command};

use crate::{
    child::{self, here},
    support::hub::Hub,
};

#[test]
fn a_generated_client_compiles_and_uses_a_hub() {
    // What an older description has left.
    for place in ["generated-sources", "classes"] {
        let _ = fs::remove_dir_all(here(&format!("target/openapi-java/{place}")));
    }
    let mut maven = Command::new(child::tool("mvn"));
    // `make install` has got what it needs.
    maven.args(["--offline", "-q", "-B", "-f", &here("tests/openapi/java/pom.xml"), "compile"]);
    succeed(&mut maven);

    let hub = Hub::start_with(&["--engine", "memory"]);
    let classes = format!("{}:{}", here("target/openapi-java/classes"), here("target/openapi-java/dependency/*"));
    let said = succeed(Command::new(child::tool("java")).args(["-cp", &classes, "UsesHub", &hub.url()]));
    assert_eq!(said, "true one\nfalse two\nfalse three\n");
}

/// What the command has printed.
fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {said}\n{}", String::from_utf8_lossy(&output.stderr));
    said
}
