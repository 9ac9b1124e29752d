//! Statistics, metrics and health, with a real hub and engine.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::{health, metrics, snapshot::Snapshot, stats};
use crate::{
    engine::Append,
    event::{NewEvent, TopicName},
    http::{
        api::state::AppState,
        auth::CallerQuotas,
        message::problem::{Code, Problem},
        testing::{self, app},
    },
    quota::{QuotaConfig, QuotaLimits},
};

async fn publish(app: &AppState, topic: &str, data: &str) {
    let event = NewEvent::new(TopicName::new(topic).expect("valid"), data);
    app.hub.publish(Append { events: vec![event], expect: None, key: None }).await.expect("published");
}

#[tokio::test]
async fn stats_have_every_promised_field() {
    let (app, _) = app();
    publish(&app, "a", "hello").await;
    drop(Problem::new(Code::TooLarge, "x").into_response(&testing::request_id(), app.hub.stats()));
    let value =
        testing::json(stats::handle(&app.operators, testing::anyone(&app), &HeaderMap::new()).await.expect("open"))
            .await;
    for pointer in [
        "/version",
        "/engine",
        "/uptime_s",
        "/connections",
        "/subscribers",
        "/subscriptions/live",
        "/subscriptions/replaying",
        "/subscriptions/lagged",
        "/topics",
        "/events/in_total",
        "/events/out_total",
        "/events/in_per_s",
        "/events/out_per_s",
        "/bytes/in_total",
        "/bytes/out_total",
        "/store/events",
        "/store/bytes",
        "/store/disk_bytes",
        "/store/disk_free_bytes",
        "/store/disk_total_bytes",
        "/store/commit_ms/p50",
        "/store/commit_ms/p99",
        "/gaps_total/trimmed",
        "/gaps_total/unknown",
        "/gaps_total/ahead",
        "/slow_readers_cut_total",
        "/refused_total",
        "/top_topics",
        "/holders",
        "/addresses",
    ] {
        assert!(value.pointer(pointer).is_some(), "{pointer}");
    }
    assert_eq!(
        (&value["topics"], &value["events"]["in_total"], &value["bytes"]["in_total"]),
        (&json!(1), &json!(1), &json!(5))
    );
    assert_eq!(value["refused_total"], json!({"too-large": 1}));
    assert_eq!(value["top_topics"][0]["topic"], "a");
}

#[tokio::test]
async fn stats_report_what_holders_have_used_and_metrics_never_name_one() {
    let (app, _) = app();
    let name = "mallory\"}\n<b>";
    let (address, holder) =
        (app.auth.quotas.address("192.0.2.1".parse().expect("an address")), app.auth.quotas.holder(name));
    address.publish_for(&holder, 2, 10).expect("no limit");
    let _permits = [holder.stream().expect("no limit"), app.auth.quotas.holder("other").stream().expect("no limit")];
    let limits = QuotaLimits { streams: Some(1), ..QuotaLimits::default() };
    app.auth.quotas.configure(&QuotaConfig { holder: limits, ..QuotaConfig::default() });
    holder.stream().expect_err("one is open");
    let value =
        testing::json(stats::handle(&app.operators, testing::anyone(&app), &HeaderMap::new()).await.expect("open"))
            .await;
    assert_eq!(
        value["holders"],
        json!([
            {"holder": name, "streams": 1, "events_total": 2, "bytes_total": 10, "refused_total": 1},
            {"holder": "other", "streams": 1, "events_total": 0, "bytes_total": 0, "refused_total": 0},
        ])
    );
    assert_eq!((&value["addresses"], &value["holders_known"]), (&json!(1), &json!(2)));
    assert_eq!(value["quota_refused_total"], json!({"holder_streams": 1}));

    let text = metrics_text(&app).await;
    assert!(text.contains("gapless_quota_refused_total{limit=\"holder_streams\"} 1\n"));
    assert!(text.contains("gapless_quota_refused_total{limit=\"bad_credentials\"} 0\n"), "the labels are fixed");
    assert!(text.contains("gapless_quota_accounts{kind=\"holder\"} 2\n"));
    assert!(!text.contains("mallory") && !text.contains("192.0.2"));
}

async fn metrics_text(app: &AppState) -> String {
    let body = metrics::handle(&app.operators, &testing::anyone(app), &HeaderMap::new())
        .await
        .expect("open")
        .into_body()
        .collect()
        .await
        .expect("not broken off")
        .to_bytes();
    String::from_utf8(body.to_vec()).expect("UTF-8")
}

#[tokio::test(start_paused = true)]
async fn stats_are_streamed_once_a_second_until_the_hub_drains() {
    let (app, _) = app();
    let accept =
        HeaderMap::from_iter([(http::header::ACCEPT, "text/html, text/event-stream;q=0.9".parse().expect("valid"))]);
    let mut response = stats::handle(&app.operators, testing::anyone(&app), &accept).await.expect("open");
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    let started = tokio::time::Instant::now();
    let mut blocks = Vec::new();
    for _ in 0..4 {
        let frame = response.body_mut().frame().await.expect("open").expect("not broken off");
        blocks.push(String::from_utf8(frame.into_data().expect("data").to_vec()).expect("UTF-8"));
    }
    assert_eq!(started.elapsed(), Duration::from_secs(2), "a retry and three snapshots, the first at once");
    assert!(blocks[0].starts_with("retry: "));
    let data = blocks[3].strip_prefix("data: ").and_then(|block| block.strip_suffix("\n\n")).expect("one event");
    assert_eq!(serde_json::from_str::<Value>(data).expect("JSON")["engine"], "memory");
    app.net.drain.begin(Duration::from_secs(10));
    assert!(response.body_mut().frame().await.is_none());
}

#[tokio::test]
async fn every_metric_has_a_unit_a_kind_and_help() {
    let (app, _) = app();
    publish(&app, "a", "hello").await;
    drop(Problem::new(Code::TooLarge, "x").into_response(&testing::request_id(), app.hub.stats()));
    let text = metrics_text(&app).await;
    let mut lines = text.lines().peekable();
    while let Some(help) = lines.next() {
        let (name, words) = help.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')).expect(help);
        assert!(name.starts_with("gapless_") && words.ends_with('.'), "{help}");
        let kind = lines.next().and_then(|line| line.strip_prefix(&format!("# TYPE {name} "))).expect(name);
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        while let Some(sample) = lines.next_if(|line| !line.starts_with('#')) {
            let (series, value) = sample.rsplit_once(' ').expect(sample);
            let parts = ["_sum", "_count", "_bucket"].map(|end| format!("{name}{end}"));
            let counted =
                kind == "histogram" && parts.iter().any(|part| series.split('{').next() == Some(part.as_str()));
            assert!(series == name || series.starts_with(&format!("{name}{{")) || counted, "{sample}");
            assert!(value.parse::<f64>().is_ok(), "{sample}");
        }
    }
    assert!(text.contains("gapless_published_events_total 1\n"));
    assert!(text.contains("gapless_commit_seconds_count 1\n"));
    let sum = text.lines().find_map(|line| line.strip_prefix("gapless_commit_seconds_sum ")).expect("a sum");
    assert!(sum.parse::<f64>().expect("a number") > 0.0, "{sum}");
    assert!(text.contains("gapless_refused_requests_total{code=\"too-large\"} 1\n"));
}

#[tokio::test]
async fn ready_means_that_a_publish_would_be_durable() {
    let (app, store) = app();
    assert_eq!(health::alive().status(), 200);
    assert!(health::ready(&app.operators).await.is_ok());
    store.faults().set_full(true);
    assert_eq!(health::ready(&app.operators).await.err().map(|problem| problem.code), Some(Code::StorageFull));
    store.faults().set_full(false);
    assert!(health::ready(&app.operators).await.is_ok(), "no restart is needed");
    assert!(Snapshot::new(&app.operators).await.ready);
    app.net.drain.begin(Duration::from_secs(10));
    assert_eq!(health::ready(&app.operators).await.err().map(|problem| problem.code), Some(Code::Draining));
    let app: &Arc<AppState> = &app;
    assert!(!Snapshot::new(&app.operators).await.ready);
}

#[tokio::test]
async fn a_hub_that_refuses_small_bodies_is_not_ready() {
    let (app, _) = testing::app();
    let mut permits: Vec<_> = (0..20)
        .map(|n| {
            let address = app.auth.quotas.address(std::net::Ipv4Addr::new(192, 0, 2, n).into());
            CallerQuotas { address, holder: None, owner: 0 }.memory(&app.bodies.memory)
        })
        .collect();
    for permit in &mut permits {
        while permit.grow(1000).is_ok() {}
    }
    assert_eq!(health::ready(&app.operators).await.err().map(|problem| problem.code), Some(Code::OverCapacity));
    drop(permits);
    assert!(health::ready(&app.operators).await.is_ok());
}
