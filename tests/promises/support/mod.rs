//! Test helpers: the real binary, plain sockets, and bounded waits.

pub(crate) mod engine;
pub(crate) mod hub;
#[path = "../../support/nats_cluster.rs"]
pub(crate) mod nats_cluster;
#[path = "../../support/standing_cluster.rs"]
mod standing_cluster;
#[path = "../../support/test_stream.rs"]
pub(crate) mod test_stream;
pub(crate) mod wire;

#[allow(unused_imports, reason = "for the promises")]
pub(crate) use self::engine::needs;

use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};

/// The bound on every wait, far above what it takes, so that only a hang fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `holds`; false after [`PATIENCE`].
pub(crate) fn comes_true(mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// Waits until `holds`; fails with `what` after [`PATIENCE`].
pub(crate) fn eventually(what: &str, holds: impl FnMut() -> bool) {
    assert!(comes_true(holds), "never happened: {what}");
}

/// Fails unless `answer` is a complete problem with this status and code; returns it.
pub(crate) fn assert_problem(answer: &wire::Answer, status: u16, code: &str) -> serde_json::Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.headers.get("content-type"), Some("application/problem+json"));
    let problem = answer.json();
    assert_eq!(problem["code"], code, "{problem}");
    assert_eq!(problem["status"], status);
    for member in ["type", "title", "detail"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "no {member}: {problem}");
    }
    problem
}

/// Static tokens for the configuration, as TOML: `<name>-token` for each name, with its grant.
pub(crate) fn tokens(entries: &[(&str, &str)]) -> String {
    let table = |(name, opens): &(&str, &str)| {
        let sha256 = sha256(&format!("{name}-token"));
        format!("{{ name = \"{name}\", sha256 = \"{sha256}\", {opens} }}")
    };
    format!("[{}]", entries.iter().map(table).collect::<Vec<_>>().join(", "))
}

fn sha256(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}
