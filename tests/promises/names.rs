//! No name and no pattern has a segment `.` or `..`, which browsers and proxies resolve in a path.

use serde_json::json;

use super::support::{assert_problem, hub::Hub, tokens, wire};

const NAMES: [&str; 6] = [".", "..", "jobs/../audit", "./audit", "audit/..", "jobs/./x"];

#[test]
fn no_topic_or_pattern_has_a_dot_segment() {
    let hub = Hub::start();
    hub.publish("audit", "kept");
    for name in NAMES {
        let invalid = |answer: &wire::Answer| drop(assert_problem(answer, 400, "topic-invalid"));
        let escaped = name.replace("..", "%2e%2E");
        for name in [name, &escaped] {
            invalid(&hub.post(&format!("/publish?topic={name}"), &[], b"x"));
            invalid(&hub.get(&format!("/events?topic={name}")));
            invalid(&hub.get(&format!("/events?topic={name}/**")));
            for method in ["GET", "PUT", "DELETE"] {
                invalid(&hub.request(method, &format!("/topics/{name}"), b""));
            }
        }
        let envelope = json!({"topic": name, "data": "x"}).to_string();
        invalid(&hub.post("/publish", &[], envelope.as_bytes()));
        let lines = hub.post("/publish", &[("content-type", "application/x-ndjson")], envelope.as_bytes());
        assert!(lines.text().contains("topic-invalid"), "{}", lines.text());
        let wish = json!({"topics": ["a", name]}).to_string();
        invalid(&hub.post("/events", &[("content-type", "application/json")], wish.as_bytes()));
    }
    assert_eq!(hub.kept("audit"), ["kept"]);
    hub.publish(".../a.", "three dots are a name");
}

#[test]
fn no_grant_and_no_rule_has_a_dot_segment() {
    let tokens = tokens(&[("ci", "publish = [\"jobs/../audit\"]")]);
    let rule = "[{ topics = \"jobs/./**\", max_events = 1 }]";
    for arguments in [["--access-tokens", &*tokens], ["--retention-rules", rule], ["--access-anyone-subscribe", "a/.."]]
    {
        let (code, told) = Hub::refused(&arguments);
        assert_eq!(code, Some(78), "{told}");
        assert!(told.contains("segment '.' or '..'"), "{told}");
    }
}

#[test]
fn a_limit_that_would_keep_nothing_is_refused_everywhere() {
    let hub = Hub::start();
    hub.publish("a", "kept");
    for (key, text) in [("max_events", "0"), ("max_age", "\"0s\""), ("max_age", "0"), ("max_bytes", "0")] {
        let body = format!("{{\"retention\":{{\"{key}\":{text}}}}}");
        let problem = assert_problem(&hub.request("PUT", "/topics/a", body.as_bytes()), 400, "body-invalid");
        assert!(problem["detail"].as_str().unwrap().contains("would keep nothing"), "{problem}");
        let flag = format!("--retention-{}", key.replace('_', "-"));
        let rule = format!("[{{ topics = \"a\", {key} = {text} }}]");
        for arguments in [[&*flag, text.trim_matches('"')], ["--retention-rules", &rule]] {
            let (code, told) = Hub::refused(&arguments);
            assert!(code == Some(78) && told.contains(key.trim_start_matches("max_")), "{arguments:?}: {told}");
        }
    }
    assert_eq!(hub.kept("a"), ["kept"]);
}
