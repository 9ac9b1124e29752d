//! Idempotency-Keys are remembered in bounded memory, and no client takes all of it.

use super::support::{assert_problem, hub::Hub, tokens, wire};

fn batch(count: usize) -> String {
    format!("[{}]", vec!["{\"topic\":\"t\",\"data\":\"x\"}"; count].join(","))
}

fn keyed(hub: &Hub, token: &str, key: &str, body: &str) -> wire::Answer {
    let bearer = format!("Bearer {token}-token");
    let headers = [("idempotency-key", key), ("authorization", &*bearer)];
    wire::request(hub.address, "POST", "/publish", &headers, body.as_bytes())
}

#[test]
fn batches_under_keys_leave_room_for_other_publishers_also_after_a_restart() {
    let everything = "publish = [\"**\"]";
    let tokens = tokens(&[("ann", everything), ("bob", everything)]);
    // Room for sixteen keys; half of it for one publisher.
    let mut hub = Hub::start_with(&["--access-tokens", &tokens, "--publish-idempotency-keys", "16"]);
    for key in ["1", "2", "3"] {
        assert_eq!(keyed(&hub, "ann", key, &batch(900)).status, 200, "a batch is one key, whatever its events");
    }
    for _ in 0..2 {
        for key in ["4", "5", "6", "7", "8"] {
            assert_eq!(keyed(&hub, "ann", key, &batch(2)).status, 200);
        }
        let problem = assert_problem(&keyed(&hub, "ann", "9", &batch(2)), 429, "rate-limited");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("this client has used as many Idempotency-Keys as"), "{detail}");
        assert_eq!(keyed(&hub, "bob", "1", &batch(2)).status, 200, "others are not refused");
        hub = hub.again_after_end();
    }
}

#[test]
fn a_batch_whose_receipts_never_fit_is_told_to_be_split() {
    let hub = Hub::start_with(&["--publish-idempotency-keys", "4"]);
    let events: Vec<_> = (0..200).map(|n| format!("{{\"topic\":\"t/{n}\",\"data\":\"x\"}}")).collect();
    let body = format!("[{}]", events.join(","));
    let answer = hub.post("/publish", &[("idempotency-key", "1")], body.as_bytes());
    let problem = assert_problem(&answer, 413, "too-large");
    assert!(problem["detail"].as_str().unwrap().contains("split it"), "{problem}");
    assert_eq!(hub.post("/publish", &[], body.as_bytes()).status, 200, "without a key it is taken");
}
