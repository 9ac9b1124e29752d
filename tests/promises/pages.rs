//! Pages, for networks that do not pass streams: consecutive pages lose nothing.

use std::thread;

use serde_json::{Value, json};

use super::support::{eventually, hub::Hub};

fn data(page: &Value) -> Vec<&str> {
    page["events"].as_array().unwrap().iter().map(|event| event["data"].as_str().unwrap()).collect()
}

#[test]
fn pages_follow_one_another_by_next_without_loss() {
    let hub = Hub::start();
    for n in 0..25 {
        hub.publish(if n % 2 == 0 { "a" } else { "b" }, &n.to_string());
    }
    let (mut seen, mut query) = (Vec::new(), "from=earliest".to_owned());
    loop {
        let page = hub.page(&format!("topic=a&topic=b&limit=4&{query}"));
        assert_eq!(page["gaps"], json!([]));
        if page["events"] == json!([]) {
            assert_eq!(query, format!("last_event_id={}", page["next"].as_str().unwrap()), "the end stays the end");
            break;
        }
        assert!(data(&page).len() <= 4);
        seen.extend(data(&page).into_iter().map(str::to_owned));
        query = format!("last_event_id={}", page["next"].as_str().unwrap());
    }
    assert_eq!(seen, (0..25).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn next_always_works_as_a_cursor() {
    let hub = Hub::start();
    let empty = hub.page("topic=t");
    assert_eq!((&empty["events"], &empty["closed"]), (&json!([]), &json!(false)));
    hub.publish("t", "1");
    let next = |page: &Value| page["next"].as_str().unwrap().to_owned();
    let first = hub.page(&format!("topic=t&last_event_id={}", next(&empty)));
    assert_eq!((data(&first), &first["gaps"]), (vec!["1"], &json!([])));
    for query in ["topic=t&from=now", "topic=t&last_event_id=junk", "topic=t&since=2970-01-01T00:00:00Z"] {
        let page = hub.page(query);
        hub.publish("t", query);
        let after = hub.page(&format!("topic=t&last_event_id={}", next(&page)));
        assert_eq!((data(&after), &after["gaps"]), (vec![query], &json!([])));
    }
}

#[test]
fn a_page_tells_its_gaps() {
    let hub = Hub::start();
    let ids: Vec<String> = (0..5).map(|n| hub.publish("t", &n.to_string())).collect();
    hub.trim("t", 2);
    let page = hub.page(&format!("topic=t&last_event_id={}", ids[0]));
    assert_eq!(page["gaps"], json!([{"topic": "t", "after": ids[0], "resumes_at": ids[3], "reason": "trimmed"}]));
    assert_eq!(data(&page), ["3", "4"]);
    let page = hub.page("topic=t&last_event_id=junk&limit=1");
    assert_eq!(page["gaps"], json!([{"after": "junk", "resumes_at": ids[3], "reason": "unknown"}]));
    assert_eq!((data(&page), page["next"].as_str()), (vec!["3"], Some(&*ids[3])));
}

#[test]
fn a_long_poll_wakes_by_a_publish_and_not_before() {
    let hub = Hub::start();
    let start = hub.page("topic=t/*")["next"].as_str().unwrap().to_owned();
    thread::scope(|scope| {
        let poll = scope.spawn(|| hub.page(&format!("topic=t/*&wait=50s&last_event_id={start}")));
        eventually("it waits", || hub.stats()["subscribers"] == 1);
        hub.publish("other", "x");
        assert!(!poll.is_finished());
        let id = hub.publish("t/1", "y");
        let page = poll.join().unwrap();
        assert_eq!((data(&page), page["next"].as_str()), (vec!["y"], Some(&*id)));
    });
}

#[test]
fn a_long_poll_without_news_answers_when_its_time_is_over() {
    let hub = Hub::start();
    hub.publish("t", "x");
    assert_eq!(hub.page("topic=t&wait=1s")["events"], json!([]));
    assert_eq!(data(&hub.page("topic=t&from=earliest&wait=50s")), ["x"], "what is there needs no waiting");
}

#[test]
fn a_long_poll_on_a_closed_topic_answers_at_once_and_says_so() {
    let hub = Hub::start();
    let last = hub.post("/publish?topic=t&close=true", &[], b"x").json()["id"].as_str().unwrap().to_owned();
    for query in ["wait=50s", "wait=50s&from=earliest", &format!("wait=50s&last_event_id={last}")] {
        let page = hub.page(&format!("topic=t&{query}"));
        assert_eq!((&page["closed"], page["next"].as_str()), (&json!(true), Some(&*last)), "{query}");
    }
    assert_eq!(data(&hub.page("topic=t&wait=50s&from=earliest")), ["x"]);
    thread::scope(|scope| {
        let poll = scope.spawn(|| hub.page("topic=u&wait=50s"));
        eventually("it waits", || hub.stats()["subscribers"] == 1);
        hub.put("u", r#"{"closed":true}"#);
        assert_eq!(poll.join().unwrap()["closed"], true);
    });
}

#[test]
fn a_page_has_a_hundred_events_unless_asked_for_more() {
    let hub = Hub::start();
    let batch: Vec<_> = (0..1200).map(|n| json!({"topic": "t", "data": n.to_string()})).collect();
    hub.post("/publish", &[], json!(batch).to_string().as_bytes());
    for (limit, want) in [("", 100), ("&limit=1", 1), ("&limit=1000", 1000), ("&limit=999999", 1000)] {
        assert_eq!(data(&hub.page(&format!("topic=t&from=earliest{limit}"))).len(), want, "{limit}");
    }
}
