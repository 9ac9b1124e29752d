//! A receipt means that the event is in the log as it was sent, and a refusal that nothing was published.

use std::thread;

use serde_json::{Value, json};

use super::support::{assert_problem, hub::Hub, wire};

const JSON: (&str, &str) = ("content-type", "application/json");

fn envelopes(hub: &Hub, value: &Value) -> wire::Answer {
    hub.post("/publish", &[JSON], value.to_string().as_bytes())
}

fn with(hub: &Hub, name: &str, value: &str, data: &str) -> wire::Answer {
    hub.post("/publish?topic=t", &[(name, value)], data.as_bytes())
}

#[test]
fn a_body_of_any_type_is_the_data_of_one_event() {
    let hub = Hub::start();
    let types = [
        Some("application/x-www-form-urlencoded"),
        Some("text/plain"),
        Some("application/json"),
        Some("application/octet-stream"),
        Some("complete junk"),
        None,
    ];
    for content_type in types {
        let headers: Vec<_> = content_type.map(|value| ("content-type", value)).into_iter().collect();
        let answer = hub.post("/publish?topic=t", &headers, br#"{"a": [1, "%20+"]}"#);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(hub.kept("t"), vec![r#"{"a": [1, "%20+"]}"#; types.len()]);
}

#[test]
fn a_form_is_refused_with_what_to_send_instead() {
    let hub = Hub::start();
    let form = "--b\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\nhello\r\n--b--\r\n";
    for (target, content_type) in [
        ("/publish?topic=t", "multipart/form-data; boundary=b"),
        ("/publish?topic=t", "Multipart/Form-Data"),
        ("/publish", "multipart/form-data; boundary=b"),
    ] {
        let answer = hub.post(target, &[("content-type", content_type)], form.as_bytes());
        let problem = assert_problem(&answer, 400, "body-invalid");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("curl -F") && detail.contains("--data-binary @FILE"), "{detail}");
    }
    assert_eq!(hub.get("/topics").json()["topics"], json!([]), "nothing was published");
}

#[test]
fn a_receipt_names_topic_id_time_and_subscribers() {
    let hub = Hub::start();
    let _exact = hub.watch("topic=a/b");
    let _pattern = hub.watch("topic=a/*");
    let _both = hub.watch("topic=a/b&topic=a/**");
    let _other = hub.watch("topic=a");
    let receipt = hub.post("/publish?topic=a%2Fb", &[], b"x").json();
    assert_eq!(receipt["topic"], "a/b");
    assert_eq!(receipt["subscribers"], 3);
    let (epoch, seq) = receipt["id"].as_str().unwrap().split_once('-').unwrap();
    assert!((4..=16).contains(&epoch.len()) && seq.parse::<u64>().is_ok(), "{receipt}");
    let time = receipt["time"].as_str().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z') && time.as_bytes()[19] == b'.', "{time}");
    assert_eq!(receipt.as_object().unwrap().len(), 4);
}

#[test]
fn an_envelope_keeps_its_text_and_any_other_json_is_sent_compact() {
    let hub = Hub::start();
    for data in [r#""a\n\"b\"""#, "{ \"a\" : [1.0, 1e400 , null] }", " null ", "12345678901234567890", "true"] {
        let answer = hub.post("/publish", &[JSON], format!("{{\"topic\":\"t\",\"data\":{data}}}").as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(hub.kept("t"), ["a\n\"b\"", r#"{"a":[1.0,1e400,null]}"#, "null", "12345678901234567890", "true"]);
}

#[test]
fn json_is_understood_whatever_its_content_type_is_called() {
    let hub = Hub::start();
    for content_type in ["application/x-www-form-urlencoded", "application/json; charset=utf-8", "text/plain"] {
        let answer = hub.post("/publish", &[("content-type", content_type)], br#"{"topic":"t","data":"x"}"#);
        assert_eq!(answer.status, 200, "{content_type}: {}", answer.text());
    }
}

#[test]
fn a_batch_gets_a_receipt_for_each_event_in_its_order() {
    let hub = Hub::start();
    let batch: Vec<Value> =
        (0..500).map(|n| json!({"topic": if n % 3 == 0 { "a" } else { "b" }, "data": n.to_string()})).collect();
    let answer = envelopes(&hub, &batch.clone().into()).json();
    let receipts = answer["events"].as_array().unwrap();
    assert_eq!(receipts.len(), 500);
    let seqs: Vec<u64> =
        receipts.iter().map(|r| r["id"].as_str().unwrap().split_once('-').unwrap().1.parse().unwrap()).collect();
    assert!(seqs.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    let got = hub.page("topic=a&topic=b&from=earliest&limit=1000");
    let same = |(event, sent): (&Value, &Value)| event["data"] == sent["data"] && event["topic"] == sent["topic"];
    assert!(got["events"].as_array().unwrap().iter().zip(&batch).all(same));
}

#[test]
fn a_batch_with_one_bad_event_adds_nothing() {
    let hub = Hub::start();
    for bad in [
        json!({"topic": "t/", "data": "x"}),
        json!({"topic": "t"}),
        json!({"data": "x"}),
        json!({"topic": "t", "data": "x", "retry": -1}),
        json!({"topic": "t", "data": "x", "event": "hub.gap"}),
        json!({"topic": "t", "data": "x", "close": "yes"}),
        json!({"topic": "t", "data": "x", "evnet": "typo"}),
        json!({"topic": ["t"], "data": "x"}),
        json!("x"),
        json!(null),
    ] {
        let answer = envelopes(&hub, &json!([{"topic": "t", "data": "good"}, bad]));
        assert_eq!(answer.status, 400, "{bad}");
        assert!(answer.json()["detail"].as_str().unwrap().contains("[1]"), "which one: {}", answer.text());
    }
    assert_eq!(hub.get("/topics/t").status, 404);
}

#[test]
fn a_batch_to_a_closed_topic_adds_nothing_to_the_open_one() {
    let hub = Hub::start();
    hub.put("shut", r#"{"closed":true}"#);
    let answer = envelopes(&hub, &json!([{"topic": "open", "data": 1}, {"topic": "shut", "data": 2}]));
    assert_problem(&answer, 409, "topic-closed");
    assert_eq!(hub.get("/topics/open").status, 404);
}

#[test]
fn an_empty_body_is_an_event_and_an_empty_batch_is_none() {
    let hub = Hub::start();
    assert_eq!(hub.post("/publish?topic=t", &[], b"").status, 200);
    assert_eq!(hub.kept("t"), [""]);
    assert_problem(&hub.post("/publish", &[JSON], b" [ ] "), 400, "body-invalid");
}

#[test]
fn the_query_says_name_retry_and_close() {
    let hub = Hub::start();
    let mut stream = hub.watch("topic=t");
    hub.post("/publish?topic=t&event=tick&retry=1234", &[], b"a");
    hub.post("/publish?topic=t&event=message&close=1", &[], b"b");
    let first = stream.next().unwrap();
    assert_eq!((&*first.event, &*first.data, stream.retry()), ("tick", "a", Some(1234)));
    assert_eq!(stream.next().unwrap().event, "message");
    assert_eq!(stream.next().unwrap().event, "hub.end");
    assert_eq!(stream.next(), None);
}

#[test]
fn an_invalid_query_is_refused() {
    let hub = Hub::start();
    for (query, code) in [
        ("topic=a&topic=b", "query-invalid"),
        ("topic=", "topic-invalid"),
        ("topic=a/*", "topic-invalid"),
        ("topic=a//b", "topic-invalid"),
        ("topic=/a", "topic-invalid"),
        ("topic=$sys", "topic-invalid"),
        ("topic=hub", "topic-invalid"),
        ("topic=hub/x", "topic-invalid"),
        ("topic=a%E2%80%8Bb", "topic-invalid"),
        ("topic=a%00b", "topic-invalid"),
        ("topic=%ff", "query-invalid"),
        ("topic=a&event=hub.end", "event-name-invalid"),
        ("topic=a&event=x%0Ay", "event-name-invalid"),
        ("topic=a&retry=soon", "query-invalid"),
        ("topic=a&close=yes", "query-invalid"),
    ] {
        assert_problem(&hub.post(&format!("/publish?{query}"), &[], b"x"), 400, code);
    }
    assert_problem(&hub.post(&format!("/publish?topic={}", "x".repeat(256)), &[], b"x"), 400, "topic-invalid");
    assert_eq!(hub.post(&format!("/publish?topic={}", "x".repeat(255)), &[], b"x").status, 200);
}

#[test]
fn a_query_reads_as_browsers_write_it() {
    let hub = Hub::start();
    for (query, topic) in [("topic=a+b", "a b"), ("topic=a%2Bb", "a+b"), ("topic=%C3%BC/%20", "ü/ ")] {
        assert_eq!(hub.post(&format!("/publish?{query}"), &[], b"x").json()["topic"], topic);
    }
}

#[test]
fn data_that_is_no_text_is_refused() {
    let hub = Hub::start();
    assert_problem(&hub.post("/publish?topic=t", &[], b"ab\xff"), 400, "data-not-utf8");
    assert_problem(&hub.post("/publish?topic=t", &[], b"\xed\xa0\x80"), 400, "data-not-utf8");
    assert_problem(&hub.post("/publish", &[JSON], b"{\"topic\":\"t\",\"data\":\"\xff\"}"), 400, "data-not-utf8");
    for body in ["{\"topic\":\"t\",\"data\":\"\\ud800\"}", "{\"topic\":\"t\",\"data\":[\"\\udc00\"]}", "{", "[{]"] {
        assert_problem(&hub.post("/publish", &[JSON], body.as_bytes()), 400, "body-invalid");
    }
    assert_eq!(hub.get("/topics/t").status, 404);
}

#[test]
fn an_event_may_have_a_mebibyte_and_no_byte_more() {
    let hub = Hub::start();
    let most = "x".repeat(1 << 20);
    assert_eq!(hub.post("/publish?topic=t", &[], most.as_bytes()).status, 200);
    assert_problem(&hub.post("/publish?topic=t", &[], format!("{most}x").as_bytes()), 413, "too-large");
    assert_eq!(envelopes(&hub, &json!({"topic": "t", "data": most})).status, 200);
    let one_more = json!([{"topic": "t", "data": "x"}, {"topic": "t", "data": format!("{most}x")}]);
    assert_problem(&envelopes(&hub, &one_more), 413, "too-large");
    assert_eq!(hub.topic("t")["events"], 2);
}

#[test]
fn a_batch_over_its_limit_is_refused_also_when_its_length_is_not_announced() {
    let hub = Hub::start_with(&["--publish-batch-bytes", "4KiB", "--publish-event-bytes", "4KiB"]);
    let batch = |count: usize| json!(vec![json!({"topic": "t", "data": "x".repeat(1000)}); count]).to_string();
    assert_eq!(hub.post("/publish", &[JSON], batch(3).as_bytes()).status, 200);
    assert_problem(&hub.post("/publish", &[JSON], batch(5).as_bytes()), 413, "too-large");
    let mut upload = wire::Upload::open(hub.address, "/publish", &[JSON]);
    upload.send(&batch(5));
    upload.finish();
    assert_eq!(upload.answer().status, 413);
    assert_eq!(hub.topic("t")["events"], 3);
}

#[test]
fn a_body_of_many_times_the_limit_still_gets_its_answer() {
    let hub = Hub::start_with(&["--publish-batch-bytes", "4KiB", "--publish-event-bytes", "4KiB"]);
    for _ in 0..5 {
        assert_problem(&hub.post("/publish?topic=t", &[], &vec![b'x'; 8 << 20]), 413, "too-large");
    }
}

#[test]
fn a_large_body_for_a_bad_topic_still_gets_its_answer() {
    let hub = Hub::start();
    for _ in 0..5 {
        assert_problem(&hub.post("/publish?topic=a//b", &[], &vec![b'x'; 8 << 20]), 400, "topic-invalid");
    }
}

#[test]
fn a_retry_with_the_same_key_gets_the_first_receipt_and_adds_nothing() {
    let hub = Hub::start();
    let first = with(&hub, "idempotency-key", "k", "x");
    let again = with(&hub, "idempotency-key", "k", "x");
    assert_eq!(first.json(), again.json());
    assert_eq!(with(&hub, "idempotency-key", "other", "x").status, 200);
    assert_eq!(hub.kept("t"), ["x", "x"]);
}

#[test]
fn a_key_survives_kill_9_with_its_receipt() {
    let mut hub = Hub::start();
    let batch = json!([{"topic": "a", "data": 1}, {"topic": "b", "data": 2}]).to_string();
    let key = [("idempotency-key", "k"), JSON];
    let first = hub.post("/publish", &key, batch.as_bytes()).json();
    hub.kill();
    let hub = hub.again();
    assert_eq!(hub.post("/publish", &key, batch.as_bytes()).json(), first);
    assert_problem(&with(&hub, "idempotency-key", "k", "x"), 409, "idempotency-conflict");
    assert_eq!(hub.kept("a"), ["1"]);
}

#[test]
fn a_key_with_anything_else_different_is_a_conflict() {
    let hub = Hub::start();
    let key = [("idempotency-key", "k")];
    hub.post("/publish?topic=t", &key, b"x");
    for (target, body) in [
        ("topic=t", "y"),
        ("topic=u", "x"),
        ("topic=t&event=e", "x"),
        ("topic=t&retry=5", "x"),
        ("topic=t&close=1", "x"),
    ] {
        let answer = hub.post(&format!("/publish?{target}"), &key, body.as_bytes());
        assert_problem(&answer, 409, "idempotency-conflict");
    }
    assert_eq!(hub.kept("t"), ["x"]);
}

#[test]
fn a_key_is_forgotten_after_its_window() {
    let hub = Hub::start_with(&["--publish-idempotency-window", "1s"]);
    let first = with(&hub, "idempotency-key", "k", "x").json();
    super::support::eventually("the key is forgotten", || with(&hub, "idempotency-key", "k", "x").json() != first);
}

#[test]
fn twins_in_flight_get_one_receipt() {
    let hub = Hub::start();
    for key in ["a", "b", "c", "d", "e"] {
        let receipts: Vec<Value> = thread::scope(|scope| {
            let twins: Vec<_> =
                (0..8).map(|_| scope.spawn(|| with(&hub, "idempotency-key", key, key).json())).collect();
            twins.into_iter().map(|twin| twin.join().unwrap()).collect()
        });
        assert!(receipts.iter().all(|receipt| *receipt == receipts[0] && receipt["id"].is_string()), "{receipts:?}");
    }
    assert_eq!(hub.kept("t"), ["a", "b", "c", "d", "e"]);
}

#[test]
fn a_refused_request_uses_no_key_up() {
    let hub = Hub::start();
    let key = ("idempotency-key", "k");
    let failing = hub.post("/publish?topic=t", &[key, ("if-match", "\"abcd-9\"")], b"x");
    assert_problem(&failing, 412, "precondition-failed");
    assert_problem(&hub.post("/publish?topic=t", &[key], b"\xff"), 400, "data-not-utf8");
    assert_eq!(hub.post("/publish?topic=t", &[key], b"y").status, 200);
}

#[test]
fn a_retried_close_and_a_retried_condition_get_their_receipts() {
    let hub = Hub::start();
    let close = || hub.post("/publish?topic=t&close=true", &[("idempotency-key", "k")], b"last");
    let first = close().json();
    assert_eq!(close().json(), first);
    let conditional =
        || hub.post("/publish?topic=u", &[("idempotency-key", "l"), ("if-match", "\"none\"")], b"first").json();
    let first = conditional();
    assert!(first["id"].is_string(), "{first}");
    assert_eq!(conditional(), first);
}

#[test]
fn a_condition_accepts_only_the_topics_last_id() {
    let hub = Hub::start();
    let first = with(&hub, "if-match", "\"none\"", "1").json()["id"].as_str().unwrap().to_owned();
    let refused = |tag: &str| {
        let problem = assert_problem(&with(&hub, "if-match", tag, "x"), 412, "precondition-failed");
        assert_eq!(problem["last_id"], first);
    };
    refused("\"none\"");
    refused("\"zzzz-1\"");
    refused(&format!("\"{first}0\""));
    assert_eq!(with(&hub, "if-match", &format!("\"{first}\""), "2").status, 200);
    for tag in [&*first, "*", "\"junk\""] {
        assert_problem(&with(&hub, "if-match", tag, "x"), 400, "header-invalid");
    }
    assert_eq!(hub.kept("t"), ["1", "2"]);
}

#[test]
fn a_condition_on_an_unused_topic_says_that_it_has_no_last_id() {
    let hub = Hub::start();
    let problem = assert_problem(&with(&hub, "if-match", "\"abcd-1\"", "x"), 412, "precondition-failed");
    assert_eq!(problem.get("last_id"), Some(&Value::Null));
}

#[test]
fn a_condition_guards_a_batch_of_one_topic() {
    let hub = Hub::start();
    let none = [("if-match", "\"none\""), JSON];
    let batch = |topic: &str| json!([{"topic": "t", "data": 1}, {"topic": topic, "data": 2}]).to_string();
    assert_eq!(hub.post("/publish", &none, batch("u").as_bytes()).status, 400);
    assert_eq!(hub.post("/publish", &none, batch("t").as_bytes()).status, 200);
    assert_problem(&hub.post("/publish", &none, batch("t").as_bytes()), 412, "precondition-failed");
    assert_eq!(hub.kept("t"), ["1", "2"]);
}

#[test]
fn of_many_publishes_with_the_same_condition_one_succeeds() {
    let hub = Hub::start();
    let last = format!("\"{}\"", hub.publish("t", "0"));
    let statuses: Vec<u16> = thread::scope(|scope| {
        let racers: Vec<_> = (0..8).map(|_| scope.spawn(|| with(&hub, "if-match", &last, "x").status)).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 412)), "{statuses:?}");
}
