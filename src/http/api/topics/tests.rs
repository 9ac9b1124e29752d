//! `/topics`, with a real hub and engine.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::{
    access::{Grant, Principal},
    engine::{Append, Capabilities, RetentionKinds, log::LogConfig},
    event::{Filter, NewEvent},
    http::{
        api::state::AppState,
        testing::{self, app, request},
    },
};

async fn ask(app: &AppState, method: &str, target: &str, body: &str) -> Result<(u16, Value), Problem> {
    let response = handle(&app.topics, &testing::caller(app), request(method, target, &[], body)).await?;
    Ok((response.status().as_u16(), testing::json(response).await))
}

async fn ok(app: &AppState, method: &str, target: &str, body: &str) -> Value {
    let (status, value) = ask(app, method, target, body).await.expect(target);
    assert_eq!(status, 200);
    value
}

async fn refused(app: &AppState, method: &str, target: &str, body: &str) -> Code {
    ask(app, method, target, body).await.expect_err(target).code
}

async fn publish(app: &AppState, topic: &str, data: &str) {
    let event = NewEvent::new(TopicName::new(topic).expect("valid"), data);
    app.hub.publish(Append { events: vec![event], expect: None, key: None }).await.expect("published");
}

#[tokio::test]
async fn a_topic_shows_what_is_known_of_it() {
    let (app, _) = app();
    assert_eq!(refused(&app, "GET", "/topics/jobs/42", "").await, Code::TopicUnknown);
    publish(&app, "jobs/42", "abc").await;
    publish(&app, "jobs/42", "de").await;
    let epoch = app.hub.epoch();
    let want = json!({
        "topic": "jobs/42", "first_id": format!("{epoch}-1"), "last_id": format!("{epoch}-2"), "events": 2, "bytes": 5,
        "subscribers": 0, "closed": false, "retention": {"max_events": null, "max_age": null, "max_bytes": null},
        "retry": null,
    });
    assert_eq!(ok(&app, "GET", "/topics/jobs/42", "").await, want);
    assert_eq!(ok(&app, "GET", "/topics/jobs%2F42", "").await, want);
}

#[tokio::test]
async fn a_limit_that_the_engine_cannot_keep_is_refused_and_named() {
    let retention = RetentionKinds { events: true, age: false, bytes: false };
    let capabilities = Capabilities { retention, ..Capabilities::FULL };
    let (app, _) = testing::app_with(LogConfig::fixture(), capabilities);
    for limit in [r#""max_age":"90m""#, r#""max_bytes":5"#] {
        let body = format!(r#"{{"retention":{{"max_events":5,{limit}}}}}"#);
        let problem = ask(&app, "PUT", "/topics/a", &body).await.expect_err("not supported");
        assert_eq!(problem.code, Code::BodyInvalid);
        assert!(problem.detail.contains(&limit[1..8]) && problem.detail.contains("engine cannot"), "{problem}");
    }
    assert!(app.hub.topic(&TopicName::new("a").expect("valid")).is_none(), "the engine was not asked");
    let none = r#"{"retention":{"max_events":5,"max_age":null}}"#;
    assert_eq!(ok(&app, "PUT", "/topics/a", none).await["retention"]["max_events"], 5);
}

#[tokio::test]
async fn a_change_merges_and_answers_with_the_new_state() {
    let (app, _) = app();
    let generated = ok(&app, "PUT", "/topics/a", "").await;
    assert_eq!((&generated["last_id"], &generated["events"]), (&Value::Null, &json!(0)));
    let aged = ok(&app, "PUT", "/topics/a", r#"{"retention":{"max_age":"90m","max_events":5},"retry":7}"#).await;
    assert_eq!(aged["retention"], json!({"max_events": 5, "max_age": "90m", "max_bytes": null}));
    let merged = ok(&app, "PUT", "/topics/a", r#"{"retention":{"max_events":null},"closed":true}"#).await;
    assert_eq!(merged["retention"], json!({"max_events": null, "max_age": "90m", "max_bytes": null}));
    assert_eq!((&merged["retry"], &merged["closed"]), (&json!(7), &json!(true)));
    let settings = json!({"retention": merged["retention"], "retry": merged["retry"]}).to_string();
    assert_eq!(ok(&app, "PUT", "/topics/a", &settings).await["retention"]["max_age"], "90m", "what is shown is taken");
    assert_eq!(refused(&app, "PUT", "/topics/a", "{").await, Code::BodyInvalid);
    assert_eq!(refused(&app, "PUT", "/topics/hub", "").await, Code::TopicInvalid);
}

#[tokio::test]
async fn a_deleted_topic_is_gone() {
    let (app, _) = app();
    publish(&app, "a", "x").await;
    assert_eq!(ask(&app, "DELETE", "/topics/a", "").await, Ok((204, Value::Null)));
    assert_eq!(refused(&app, "GET", "/topics/a", "").await, Code::TopicUnknown);
    assert_eq!(refused(&app, "DELETE", "/topics/a", "").await, Code::TopicUnknown);
}

#[tokio::test]
async fn pages_of_the_list_join_without_a_seam() {
    let (app, _) = app();
    for topic in ["b/2", "a", "b/10", "b/1", "c"] {
        publish(&app, topic, "x").await;
    }
    let mut names = Vec::new();
    let mut after = String::new();
    loop {
        let page = ok(&app, "GET", &format!("/topics?prefix=b%2F&limit=2&after={after}"), "").await;
        names.extend(page["topics"].as_array().expect("a list").iter().map(|topic| topic["topic"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        after = next.into();
    }
    assert_eq!(names, ["b/1", "b/10", "b/2"]);
    let all = ok(&app, "GET", "/topics", "").await;
    assert_eq!((all["topics"].as_array().map(Vec::len), &all["next"]), (Some(5), &Value::Null));
    for query in ["limit=0", "limit=1001", "limit=x", "prefix=%ff"] {
        assert_eq!(refused(&app, "GET", &format!("/topics?{query}"), "").await, Code::QueryInvalid, "{query}");
    }
}

#[test]
fn a_path_names_a_topic_with_its_slashes() {
    for path in ["jobs/42/tokens", "jobs%2F42/tokens", "jobs%2f42%2Ftokens"] {
        let (name, violation) = name(path).expect(path);
        assert_eq!((name.as_str(), violation), ("jobs/42/tokens", None));
    }
    assert_eq!(name("a+b%20c").expect("valid").0.as_str(), "a+b c", "a plus is a plus in a path");
    for path in ["", "a//b", "%ff", "a*", "../*", "$x/..", "$relay/runs"] {
        assert_eq!(name(path).expect_err(path).code, Code::TopicInvalid);
    }
    for (path, text) in
        [("..", ".."), ("a/./b", "a/./b"), ("jobs/%2e%2e/audit", "jobs/../audit"), ("j/.%2E%2Fa", "j/../a")]
    {
        let (name, violation) = name(path).expect("an old topic may be called so");
        assert_eq!((name.as_str(), violation), (text, Some(TopicError::DotSegment)));
    }
}

#[tokio::test]
async fn a_caller_that_may_not_see_a_topic_does_not_learn_that_it_is_older_than_the_rule_against_dots() {
    let (app, _) = app();
    let old = TopicName::stored("jobs/../audit").expect("an old name");
    let event = NewEvent::new(old, "x");
    app.hub.publish(Append { events: vec![event], expect: None, key: None }).await.expect("published");
    let seen = app.auth.policies.current().access.anonymous().clone();
    let nobody = Caller {
        authorization: Authorization::new(&Arc::new(Principal { grant: Grant::default(), ..(*seen).clone() }), 0),
        ..testing::caller(&app)
    };
    for method in ["GET", "PUT", "DELETE"] {
        let asked = async |path: &str| {
            let response = handle(&app.topics, &nobody, request(method, path, &[], "")).await;
            response.map(|response| response.status()).expect_err(path).code
        };
        let (there, absent) = (asked("/topics/jobs/%2e%2e/audit").await, asked("/topics/jobs/%2e%2e/other").await);
        assert_eq!((there, absent), (Code::Unauthorized, Code::Unauthorized), "{method}");
    }
    assert_eq!(ok(&app, "GET", "/topics/jobs/%2e%2e/audit", "").await["events"], 1);
    assert_eq!(refused(&app, "PUT", "/topics/jobs/%2e%2e/other", "").await, Code::TopicInvalid);
}

#[tokio::test]
async fn a_list_looks_at_a_bounded_number_of_topics_and_names_none_that_may_not_be_seen() {
    let (app, _) = app();
    let topic = |text: String| TopicName::new(&text).expect("valid");
    let after = |name: &str| TopicQuery { after: name.into(), ..TopicQuery::default() };
    let hidden = (0..10_500).map(|n| topic(format!("b/{n:05}")));
    for chunk in hidden.collect::<Vec<_>>().chunks(1000) {
        let events = chunk.iter().map(|name| NewEvent::new(name.clone(), "x")).collect();
        app.hub.publish(Append { events, expect: None, key: None }).await.expect("published");
    }
    let seen = Grant {
        subscribe: vec![Filter::new("a/*").expect("valid"), Filter::new("c").expect("valid")],
        ..Grant::default()
    };
    let problem = listing::page(&app.hub, Some(&seen), after(""), 10)
        .await
        .expect_err("nothing to see, and nothing to go on from");
    assert!(problem.code == Code::QueryInvalid && problem.detail.contains("prefix"), "{problem}");

    for name in ["a/1", "a/2", "c"] {
        let events = vec![NewEvent::new(topic(name.into()), "x")];
        app.hub.publish(Append { events, expect: None, key: None }).await.expect("published");
    }
    let names =
        |views: &[crate::hub::TopicView]| views.iter().map(|view| view.state.topic.to_string()).collect::<Vec<_>>();
    let (views, more) = listing::page(&app.hub, Some(&seen), after(""), 10).await.expect("some");
    assert_eq!((names(&views), more), (vec!["a/1".into(), "a/2".into()], true), "the page ends at what was seen last");
    let (views, more) =
        listing::page(&app.hub, Some(&seen), TopicQuery { prefix: "c".into(), ..after("") }, 10).await.expect("some");
    assert_eq!((names(&views), more), (vec!["c".into()], false));
    let (views, more) = listing::page(&app.hub, None, after(""), 10).await.expect("all");
    assert_eq!((views.len(), more), (10, true));
}
