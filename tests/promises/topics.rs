//! `/topics`: inspecting, configuring, trimming and deleting topics.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::support::{assert_problem, eventually, hub::Hub, tokens};

fn names(page: &Value) -> Vec<&str> {
    page["topics"].as_array().unwrap().iter().map(|topic| topic["topic"].as_str().unwrap()).collect()
}

#[test]
fn a_topic_says_what_it_holds() {
    let hub = Hub::start();
    let first = hub.publish("a/b", "four");
    let last = hub.publish("a/b", "ü");
    let _watching = hub.watch("topic=a/*");
    assert_eq!(
        hub.topic("a/b"),
        json!({
            "topic": "a/b", "first_id": first, "last_id": last, "events": 2, "bytes": 6, "subscribers": 1,
            "closed": false, "retry": null, "retention": {"max_events": null, "max_age": null, "max_bytes": null},
        })
    );
}

#[test]
fn a_path_is_a_topic_with_its_slashes_escaped_or_not() {
    let hub = Hub::start();
    hub.publish("a/b/c", "x");
    for path in ["a/b/c", "a%2Fb%2Fc", "a%2fb/c"] {
        assert_eq!(hub.topic(path)["topic"], "a/b/c");
    }
    hub.put("%C3%BC+%20x", "{}");
    assert_eq!(hub.topic("%C3%BC%2B%20x")["topic"], "ü+ x", "a plus in a path is a plus");
    for path in ["a//b", "%FF", "hub/x", "$x", "a%00"] {
        assert_problem(&hub.get(&format!("/topics/{path}")), 400, "topic-invalid");
    }
}

#[test]
fn the_list_is_in_byte_order_by_prefix_page_by_page() {
    let hub = Hub::start();
    let all = ["B", "a", "a/1", "a/10", "a/2", "ab", "b", "ü"];
    for topic in all.iter().rev() {
        hub.put(&topic.replace('ü', "%C3%BC"), "{}");
    }
    assert_eq!(names(&hub.get("/topics").json()), all);
    assert_eq!(names(&hub.get("/topics?prefix=a/").json()), ["a/1", "a/10", "a/2"]);
    assert_eq!(names(&hub.get("/topics?prefix=a/1&after=a/1").json()), ["a/10"]);
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = hub.get(&format!("/topics?limit=3&after={after}")).json();
        seen.extend(names(&page).into_iter().map(str::to_owned));
        let Some(next) = page["next"].as_str() else { break };
        after = next.replace('ü', "%C3%BC");
    }
    assert_eq!(seen, all);
    let page = hub.get("/topics?limit=8").json();
    assert_eq!((names(&page).len(), &page["next"]), (8, &Value::Null), "no page follows an exact fit");
    for query in ["limit=0", "limit=1001", "limit=x"] {
        assert_problem(&hub.get(&format!("/topics?{query}")), 400, "query-invalid");
    }
    assert_eq!(hub.get("/topics?prefix=none").json(), json!({"topics": [], "next": null}));
}

#[test]
fn put_creates_merges_and_goes_back_to_the_rule() {
    let rules = r#"[{ topics = "a/*", max_events = 7, retry = "5s" }]"#;
    let hub = Hub::start_with(&["--retention-rules", rules, "--retention-max-age", "1h"]);
    let made = hub.put("a/b", r#"{"retention":{"max_bytes":9},"retry":10}"#);
    let want = |events: Value, bytes: Value| json!({"max_events": events, "max_age": null, "max_bytes": bytes});
    assert_eq!((&made["retention"], &made["retry"]), (&want(7.into(), 9.into()), &10.into()));
    let merged = hub.put("a/b", r#"{"retention":{"max_events":3}}"#);
    assert_eq!((&merged["retention"], &merged["retry"]), (&want(3.into(), 9.into()), &10.into()));
    let back = hub.put("a/b", r#"{"retention":{"max_events":null,"max_bytes":null},"retry":null}"#);
    assert_eq!((&back["retention"], &back["retry"]), (&want(7.into(), Value::Null), &5000.into()));
    assert_eq!(hub.put("other", "{}")["retention"]["max_age"], "1h");
    assert_eq!(back, hub.topic("a/b"), "the answer is the new state");
}

#[test]
fn settings_outlive_kill_9() {
    let mut hub = Hub::start();
    let set =
        hub.put("t", r#"{"retention":{"max_events":3,"max_age":"7d","max_bytes":1000},"retry":10,"closed":true}"#);
    hub.kill();
    assert_eq!(hub.again().topic("t"), set);
}

#[test]
fn durations_are_understood_as_people_write_them() {
    let hub = Hub::start();
    for (text, want) in [("\"2s\"", "2s"), ("\"10m\"", "10m"), ("\"7d\"", "7d"), ("90", "90s"), ("\"3600\"", "1h")] {
        let state = hub.put("t", &format!("{{\"retention\":{{\"max_age\":{text}}}}}"));
        assert_eq!(state["retention"]["max_age"], want);
    }
    for settings in [
        r#"{"retention":{"max_age":"1x"}}"#,
        r#"{"retention":{"max_age":-1}}"#,
        r#"{"retention":{"max_events":-1}}"#,
        r#"{"retention":{"max_event":1}}"#,
        r#"{"retry":99999999999}"#,
        r#"{"closed":"yes"}"#,
        r#"{"topic":"u"}"#,
        "null",
        "{",
    ] {
        assert_problem(&hub.request("PUT", "/topics/t", settings.as_bytes()), 400, "body-invalid");
    }
}

#[test]
fn trimming_by_count_bytes_and_age_takes_effect() {
    let hub = Hub::start();
    for (topic, settings, left) in [
        ("count", r#"{"retention":{"max_events":3}}"#, 3),
        ("bytes", r#"{"retention":{"max_bytes":25}}"#, 2),
        ("age", r#"{"retention":{"max_age":"2s"}}"#, 0),
    ] {
        for n in 0..10 {
            hub.publish(topic, &format!("{n:10}"));
        }
        hub.put(topic, settings);
        eventually("it is trimmed", || hub.topic(topic)["events"] == left);
        assert_eq!(hub.kept(topic).len(), left);
        let state = hub.topic(topic);
        assert_eq!((&state["bytes"], state["first_id"].is_null()), (&(left * 10).into(), left == 0));
        assert!(state["last_id"].is_string(), "the last id stays known");
    }
}

#[test]
fn what_is_published_under_a_limit_never_shows_more_than_it() {
    let hub = Hub::start();
    hub.put("t", r#"{"retention":{"max_events":5}}"#);
    for n in 0..50 {
        hub.publish("t", &n.to_string());
    }
    eventually("it is trimmed", || hub.kept("t") == ["45", "46", "47", "48", "49"]);
}

#[test]
fn readers_see_nothing_past_its_age() {
    let hub = Hub::start();
    hub.put("t", r#"{"retention":{"max_age":"1s"}}"#);
    let old = hub.publish("t", "old");
    eventually("it is past its age", || hub.kept("t").is_empty());
    let mut late = hub.watch("topic=t&from=earliest");
    let new = hub.publish("t", "new");
    assert_eq!(late.next().unwrap().id, Some(new));
    assert_eq!(hub.resume("topic=t", &old).data(1), ["new"], "the last trimmed id itself is no gap");
}

#[test]
fn a_hub_wide_cap_takes_the_oldest_of_any_topic() {
    let hub = Hub::start_with(&["--store-max-bytes", "1MiB"]);
    let body = "x".repeat(100_000);
    for n in 0..20 {
        hub.publish(&format!("t/{}", n % 4), &body);
    }
    let total = || {
        let page = hub.get("/topics").json();
        page["topics"].as_array().unwrap().iter().map(|topic| topic["bytes"].as_u64().unwrap()).sum::<u64>()
    };
    eventually("the cap holds", || total() <= 1 << 20);
    let page = hub.page("topic=t/*&from=earliest");
    let topics: BTreeSet<&str> =
        page["events"].as_array().unwrap().iter().map(|event| event["topic"].as_str().unwrap()).collect();
    assert_eq!(topics.len(), 4, "the oldest went, not one topic");
}

#[test]
fn what_was_trimmed_stays_trimmed_over_kill_9() {
    let mut hub = Hub::start();
    let ids: Vec<String> = (0..10).map(|n| hub.publish("t", &n.to_string())).collect();
    hub.trim("t", 2);
    hub.kill();
    let hub = hub.again();
    eventually("it is trimmed again", || hub.kept("t") == ["8", "9"]);
    assert_eq!(hub.resume("topic=t", &ids[0]).next().unwrap().event, "hub.gap");
}

#[test]
fn deleting_forgets_events_and_settings() {
    let hub = Hub::start();
    hub.publish("t", "x");
    hub.publish("t/u", "y");
    hub.delete("t");
    assert_problem(&hub.get("/topics/t"), 404, "topic-unknown");
    assert_problem(&hub.request("DELETE", "/topics/t", b""), 404, "topic-unknown");
    assert_eq!(names(&hub.get("/topics").json()), ["t/u"]);
    assert_eq!(hub.post("/publish?topic=t", &[("if-match", "\"none\"")], b"new").status, 200);
}

#[test]
fn topics_are_found_by_a_part_of_their_name() {
    let hub = Hub::start();
    for topic in ["Jobs/1", "a/JOBS", "jobs", "jobs/2", "other", "x/jobs/3", "%C3%BCber"] {
        hub.put(topic, "{}");
    }
    let found = |query: &str| {
        let page = hub.get(&format!("/topics?{query}")).json();
        (names(&page).into_iter().map(str::to_owned).collect::<Vec<_>>(), page["next"].as_str().map(str::to_owned))
    };
    let all = ["Jobs/1", "a/JOBS", "jobs", "jobs/2", "x/jobs/3"].map(str::to_owned);
    assert_eq!(found("search=jObS"), (all.to_vec(), None));
    assert_eq!(found("search=jobs/&prefix=j"), (vec!["jobs/2".into()], None));
    assert_eq!(found("search=%C3%BCb").0, ["über"]);
    assert_eq!(found("search=%C3%9CB").0, [""; 0], "only ASCII letters match in either case");
    assert_eq!(found("search=").0.len(), 7, "an empty one is in every name");
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let (page, next) = found(&format!("search=jobs&limit=2&after={after}"));
        assert!(page.len() == 2 || next.is_none(), "{page:?}");
        seen.extend(page);
        let Some(next) = next else { break };
        after = next;
    }
    assert_eq!(seen, all);
    for query in ["q=jobs", "Search=jobs", "contains=jobs"] {
        let problem = assert_problem(&hub.get(&format!("/topics?{query}")), 400, "query-invalid");
        assert!(problem["detail"].as_str().unwrap().contains("'search'"), "{problem}");
    }
}

#[test]
fn a_search_names_no_topic_that_the_caller_may_not_see() {
    let tokens = tokens(&[("all", "publish = [\"**\"], admin = true"), ("some", "subscribe = [\"open/*\"]")]);
    let hub = Hub::start_with(&["--access-tokens", &tokens]);
    for topic in ["open/needle", "hidden/needle", "open/hay"] {
        let headers = [("authorization", "Bearer all-token")];
        assert_eq!(hub.post(&format!("/publish?topic={topic}"), &headers, b"x").status, 200);
    }
    let found = |token: &str| {
        let page = hub.get(&format!("/topics?search=NEEDLE&access_token={token}-token")).json();
        names(&page).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(found("some"), ["open/needle"]);
    assert_eq!(found("all"), ["hidden/needle", "open/needle"]);
}
