//! Pages, for networks that do not pass streams: consecutive pages lose nothing.

use std::thread;

use serde_json::{Value, json};

use super::support::{assert_problem, eventually, hub::Hub, tokens, wire};

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
    for part in batch.chunks(600) {
        assert_eq!(hub.post("/publish", &[], json!(part).to_string().as_bytes()).status, 200);
    }
    for (limit, want) in [("", 100), ("&limit=1", 1), ("&limit=1000", 1000), ("&limit=999999", 1000)] {
        assert_eq!(data(&hub.page(&format!("topic=t&from=earliest{limit}"))).len(), want, "{limit}");
    }
}

#[test]
fn pages_before_an_id_lead_back_to_the_oldest_event() {
    let hub = Hub::start();
    let ids: Vec<String> = (0..25).map(|n| hub.publish(["a/1", "b", "a/2", "other"][n % 4], &n.to_string())).collect();
    for (topics, want) in [
        ("topic=b", (0..25).filter(|n| n % 4 == 1).collect::<Vec<_>>()),
        ("topic=a/*&topic=b", (0..25).filter(|n| n % 4 != 3).collect()),
        ("topic=**", (0..25).collect()),
    ] {
        let mut seen: Vec<String> = Vec::new();
        // Beyond the newest id stands for the end.
        let (mut before, mut pages) = (format!("{}99", ids[24]), 0);
        loop {
            let page = hub.page(&format!("{topics}&limit=4&before={before}"));
            assert_eq!((&page["gaps"], page.get("closed")), (&json!([]), None));
            let forward = hub.page(&format!("{topics}&limit=1&last_event_id={}", page["next"].as_str().unwrap()));
            assert_eq!(data(&forward).first().copied(), seen.first().map(|data| &**data), "next leads forwards");
            let mut all: Vec<String> = data(&page).into_iter().map(str::to_owned).collect();
            assert!(all.len() == 4 || page["previous"].is_null(), "{page}");
            all.append(&mut seen);
            (seen, pages) = (all, pages + 1);
            match page["previous"].as_str() {
                Some(previous) => {
                    assert_eq!(previous, page["events"][0]["id"], "the id of the page's oldest event");
                    before = previous.to_owned();
                }
                None => break,
            }
        }
        assert_eq!(seen, want.iter().map(ToString::to_string).collect::<Vec<_>>(), "{topics}");
        assert_eq!(pages, want.len().div_ceil(4), "no empty page at the end");
    }
    let by_body = hub.post(
        "/events",
        &[("accept", "application/json")],
        json!({"topics": ["b"], "before": ids[9], "limit": 1}).to_string().as_bytes(),
    );
    assert_eq!(data(&by_body.json()), ["5"]);
    let first = hub.page(&format!("topic=b&before={}", ids[1]));
    assert_eq!((&first["events"], &first["previous"]), (&json!([]), &Value::Null));
    let unused = hub.page(&format!("topic=none&before={}", ids[1]));
    assert_eq!((&unused["events"], &unused["previous"]), (&json!([]), &Value::Null));
}

#[test]
fn a_page_before_an_id_has_tombstones_and_ends_at_what_retention_kept() {
    let hub = Hub::start();
    let ids: Vec<String> = (0..10).map(|n| hub.publish("t", &n.to_string())).collect();
    assert_eq!(hub.request("DELETE", &format!("/events/{}?topic=t", ids[7]), b"").status, 204);
    let page = hub.page(&format!("topic=t&before={}&limit=2", ids[8]));
    let names: Vec<&str> =
        page["events"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!((names, page["events"][1]["id"].as_str()), (vec!["message", "hub.removed"], Some(&*ids[7])));
    hub.trim("t", 4); // 7, 8, 9 and the notice
    let page = hub.page(&format!("topic=t&before={}", ids[9]));
    assert_eq!((page["events"].as_array().unwrap().len(), &page["previous"]), (2, &Value::Null));
    assert_eq!(page["gaps"], json!([]), "what was trimmed is not missing from a page that ends at what is kept");
    let page = hub.page(&format!("topic=t&before={}", ids[3]));
    assert_eq!((&page["events"], &page["previous"]), (&json!([]), &Value::Null));
}

#[test]
fn a_page_before_an_id_is_the_newest_that_fits() {
    let hub = Hub::start();
    let body = "x".repeat(300_000);
    let ids: Vec<String> = (0..8).map(|_| hub.publish("t", &body)).collect();
    let (mut before, mut seen) = (format!("{}9", ids[7]), Vec::new());
    loop {
        let page = hub.page(&format!("topic=t&before={before}&limit=1000"));
        let events: Vec<String> =
            page["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
        assert!((1..=4).contains(&events.len()), "a page has 1 MiB and one event: {}", events.len());
        seen = [events, seen].concat();
        let Some(previous) = page["previous"].as_str() else { break };
        before = previous.to_owned();
    }
    assert_eq!(seen, ids);
    // Each byte takes six in JSON, so that fewer fit than the store's sizes say.
    let dense = "\u{1}".repeat(100_000);
    let ids: Vec<String> = (0..8).map(|_| hub.publish("dense", &dense)).collect();
    let page = hub.page(&format!("topic=dense&before={}9", ids[7]));
    let oldest = page["events"][0]["id"].as_str().unwrap();
    assert_eq!((page["events"].as_array().unwrap().len(), oldest), (2, &*ids[6]));
    assert_eq!(page["previous"], oldest);
}

#[test]
fn before_is_for_pages_alone_and_for_ids_of_this_log() {
    let hub = Hub::start();
    let id = hub.publish("t", "x");
    let json = ("accept", "application/json");
    for (query, headers, word) in [
        (format!("before={id}"), vec![], "Accept: application/json"),
        (format!("before={id}"), vec![("accept", "text/event-stream")], "Accept: application/json"),
        (format!("before={id}"), vec![("accept", "application/x-ndjson")], "Accept: application/json"),
        (format!("before={id}&from=earliest"), vec![json], "one of them"),
        (format!("before={id}&since=1h"), vec![json], "one of them"),
        (format!("before={id}&last_event_id={id}"), vec![json], "one of them"),
        (format!("before={id}"), vec![json, ("last-event-id", &id)], "one of them"),
        ("before=17".into(), vec![json], "must be an id"),
        ("before=otherlog-1".into(), vec![json], "another epoch"),
        (format!("previous={id}"), vec![json], "use 'before'"),
    ] {
        let answer = wire::request(hub.address, "GET", &format!("/events?topic=t&{query}"), &headers, b"");
        let problem = assert_problem(&answer, 400, "query-invalid");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{query}: {problem}");
    }
    assert_eq!(data(&hub.page("topic=t&before=&from=earliest")), ["x"], "an empty one counts as none");
    let tokens = tokens(&[("reader", "subscribe = [\"t\"]")]);
    let guarded = Hub::start_with(&["--access-tokens", &tokens]);
    let refused = |topic: &str| {
        let headers = [json, ("authorization", "Bearer reader-token")];
        wire::request(guarded.address, "GET", &format!("/events?topic={topic}&before=a23456-1"), &headers, b"").status
    };
    assert_eq!((refused("t"), refused("u")), (400, 403), "of another epoch; not granted");
    let nobody = wire::request(guarded.address, "GET", "/events?topic=t&before=a23456-1", &[json], b"");
    assert_problem(&nobody, 401, "unauthorized");
}
