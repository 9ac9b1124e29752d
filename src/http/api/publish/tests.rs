//! What `POST /publish` promises, against the real hub and engine.

use std::{cell::Cell, convert::Infallible, future::Future, rc::Rc, sync::Arc, time::Duration};

use http::{HeaderMap, header::EXPECT};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

use super::*;
use crate::{
    engine::{Capabilities, Log, PageItem, ReadFrom, ReadRequest, log::LogConfig},
    event::{Filter, Selection, TopicName},
    http::{
        api::state::AppState,
        message::problem::Code,
        testing::{self, app, app_over, request},
    },
};

async fn post(app: &AppState, target: &str, headers: &[(&str, &str)], body: &str) -> Result<Value, Problem> {
    let response = answered(app, request("POST", target, headers, body)).await?;
    assert_eq!(response.status(), 200);
    Ok(testing::json(response).await)
}

/// The response to `request` while the shard's publisher runs.
async fn answered<B>(app: &AppState, request: Request<B>) -> Result<Response, Problem>
where
    B: http_body::Body<Data = Bytes> + 'static,
{
    let shard = PublishShard::new(&app.publish);
    tokio::select! {
        () = shard.publisher.run() => unreachable!("it never ends"),
        response = handle(&app.publish, &shard, testing::caller(app), request) => response,
    }
}

async fn refused(app: &AppState, target: &str, headers: &[(&str, &str)], body: &str) -> Code {
    post(app, target, headers, body).await.expect_err(body).code
}

fn last_id(app: &AppState, topic: &str) -> String {
    let topic = TopicName::new(topic).expect("valid");
    let last = app.hub.topic(&topic).and_then(|topic| topic.last).expect("something was published");
    format!("{}-{last}", app.hub.epoch())
}

#[tokio::test]
async fn a_body_is_an_event_and_its_receipt_says_where() {
    let (app, _) = app();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let receipt = post(&app, "/publish?topic=notices", &form, "Backup done").await.expect("published");
    let fields: Vec<_> = receipt.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(fields.len(), 4);
    assert_eq!((&receipt["topic"], &receipt["id"]), (&json!("notices"), &json!(last_id(&app, "notices"))));
    assert_eq!(receipt["subscribers"], 0);
    assert!(receipt["time"].as_str().expect("text").ends_with('Z'));
    assert_eq!((app.hub.stats().events_in.get(), app.hub.stats().bytes_in.get()), (1, 11));
}

#[tokio::test]
async fn a_list_is_answered_as_a_list_even_of_one() {
    let (app, _) = app();
    let one = post(&app, "/publish", &[], r#"[{"topic":"a","data":1}]"#).await.expect("published");
    assert_eq!(one["events"].as_array().expect("a list").len(), 1);
    let single = post(&app, "/publish", &[], r#"{"topic":"a","data":1}"#).await.expect("published");
    assert_eq!(single["id"], last_id(&app, "a"));
}

#[tokio::test]
async fn a_batch_larger_than_the_engine_commits_at_once_is_refused_and_the_limit_named() {
    let (app, store) =
        testing::app_with(LogConfig::fixture(), Capabilities { max_batch: Some(2), ..Capabilities::FULL });
    let batch = |count| json!(vec![json!({"topic": "a", "data": "x"}); count]).to_string();
    let problem = post(&app, "/publish", &[], &batch(3)).await.expect_err("too many");
    assert_eq!((problem.code, store.faults().writes()), (Code::TooLarge, 0));
    // By what is checked before anything is charged.
    assert!(problem.detail.contains("at most 2 events are allowed"), "{problem}");
    post(&app, "/publish", &[], &batch(2)).await.expect("as many as the engine takes");
}

#[tokio::test]
async fn a_batch_is_all_or_nothing() {
    let (app, _) = app();
    let bad = r#"[{"topic":"a","data":1},{"topic":"a*","data":1}]"#;
    assert_eq!(refused(&app, "/publish", &[], bad).await, Code::TopicInvalid);
    assert!(app.hub.topic(&TopicName::new("a").expect("valid")).is_none());
}

#[tokio::test]
async fn sizes_are_bounded() {
    let (app, _) = app();
    let most = "x".repeat(1000);
    assert!(post(&app, "/publish?topic=a", &[], &most).await.is_ok());
    assert_eq!(refused(&app, "/publish?topic=a", &[], &format!("{most}x")).await, Code::TooLarge);
    let announced = [("content-length", "1001")];
    assert_eq!(refused(&app, "/publish?topic=a", &announced, "").await, Code::TooLarge);
    let spaces = format!("{}{}", " ".repeat(10_000), r#"{"topic":"a","data":1}"#);
    assert_eq!(refused(&app, "/publish", &[], &spaces).await, Code::TooLarge);
    assert_eq!(app.bodies.memory.used(), 0, "no memory is kept");
}

#[tokio::test]
async fn a_body_for_which_there_is_no_memory_is_refused_until_there_is() {
    let (app, _) = app();
    let quotas = testing::caller(&app).quotas;
    let mut others: Vec<_> = (0..2).map(|_| quotas.memory(&app.bodies.memory)).collect();
    for permit in &mut others {
        permit.grow(testing::ROOM / 4).expect("free");
    }
    let problem = post(&app, "/publish?topic=a", &[], "x").await.expect_err("no room");
    assert_eq!(problem.code, Code::OverCapacity);
    assert!(problem.detail.contains("hold 50000 of 100000 bytes of memory, and this address has 50000"), "{problem}");
    drop(others.pop());
    assert!(post(&app, "/publish?topic=a", &[], "x").await.is_ok());
}

#[tokio::test]
async fn an_announced_body_holds_memory_only_for_what_has_arrived() {
    let (app, _) = app();
    let (sender, body) = channel();
    let head = [("content-length", "1000".parse().expect("valid"))];
    let mut request = http::Request::post("/publish?topic=a").body(body).expect("valid");
    *request.headers_mut() =
        head.into_iter().map(|(name, value)| (http::HeaderName::from_static(name), value)).collect();
    let mut response = Box::pin(answered(&app, request));
    sender.send(Ok(Frame::data(Bytes::from("half")))).await.expect("open");
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut response).await.is_err());
    assert_eq!(app.bodies.memory.used(), 8, "with room for as much again");
    sender.send(Ok(Frame::data(Bytes::from(vec![b'x'; 996])))).await.expect("open");
    assert!(within(response).await.is_ok());
    assert_eq!(app.bodies.memory.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_below_the_minimum_rate_is_refused_and_one_above_it_may_take_long() {
    let (app, _) = app();
    for (bytes, taken) in [(1, false), (200, true)] {
        let (sender, body) = channel();
        let request = http::Request::post("/publish").body(body).expect("valid");
        let drip = async {
            for part in 0..40 {
                let text = if part == 0 {
                    format!("{{\"topic\":\"a\",\"data\":1{}", " ".repeat(bytes))
                } else {
                    " ".repeat(bytes)
                };
                if sender.send(Ok(Frame::data(Bytes::from(text)))).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            let _ = sender.send(Ok(Frame::data(Bytes::from("}")))).await;
            drop(sender);
        };
        let (response, ()) = tokio::join!(answered(&app, request), drip);
        match response {
            Ok(_) => assert!(taken),
            Err(problem) => assert_eq!((problem.code, taken), (Code::RequestTimeout, false), "{problem}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_times_out() {
    let (app, _) = app();
    let (sender, body) = channel();
    sender.send(Ok(Frame::data(Bytes::from("half")))).await.expect("open");
    let request = http::Request::post("/publish?topic=a").body(body).expect("valid");
    let started = tokio::time::Instant::now();
    let problem = answered(&app, request).await.err().expect("nothing more came");
    assert_eq!((problem.code, started.elapsed()), (Code::RequestTimeout, app.bodies.timeout));
}

#[tokio::test]
async fn a_refused_body_is_read_to_its_end_unless_the_client_expects_a_100_continue() {
    let (app, _) = app();
    for (headers, want) in
        [(HeaderMap::new(), 5), (HeaderMap::from_iter([(EXPECT, "100-continue".parse().expect("valid"))]), 2)]
    {
        let taken = Rc::new(Cell::new(0));
        let count = Rc::clone(&taken);
        let parts = tokio_stream::iter(vec![Bytes::from(vec![b'x'; 999]); 5]).map(move |part| {
            count.set(count.get() + 1);
            Ok::<_, Infallible>(Frame::data(part))
        });
        let mut request = http::Request::post("/publish?topic=a").body(StreamBody::new(parts)).expect("valid");
        *request.headers_mut() = headers;
        assert_eq!(answered(&app, request).await.err().map(|problem| problem.code), Some(Code::TooLarge));
        assert_eq!(taken.get(), want);
    }
}

#[tokio::test]
async fn a_retry_under_the_same_key_gets_the_first_receipt() {
    let (app, _) = app();
    let key = [("idempotency-key", "k")];
    let first = post(&app, "/publish?topic=a", &key, "x").await.expect("published");
    assert_eq!(post(&app, "/publish?topic=a", &key, "x").await.expect("known"), first);
    assert_eq!(refused(&app, "/publish?topic=a", &key, "y").await, Code::IdempotencyConflict);
    assert_eq!(last_id(&app, "a"), first["id"]);
    assert_eq!(app.hub.stats().events_in.get(), 1, "a retry adds nothing");
}

#[tokio::test]
async fn a_condition_holds_or_the_problem_has_the_last_id() {
    let (app, _) = app();
    let none = [("if-match", "\"none\"")];
    let first = post(&app, "/publish?topic=a", &none, "1").await.expect("nothing is there");
    let first = format!("\"{}\"", first["id"].as_str().expect("text"));
    assert!(post(&app, "/publish?topic=a", &[("if-match", &first)], "2").await.is_ok());
    for stale in [&first, "\"none\"", "\"zzzz-1\""] {
        let problem = post(&app, "/publish?topic=a", &[("if-match", stale)], "3").await.expect_err(stale);
        let shown = serde_json::to_value(problem).expect("JSON");
        assert_eq!(shown["last_id"], last_id(&app, "a"), "{stale}");
    }
    let mixed = r#"[{"topic":"a","data":1},{"topic":"b","data":1}]"#;
    assert_eq!(refused(&app, "/publish", &[("if-match", &first)], mixed).await, Code::HeaderInvalid);
}

#[tokio::test]
async fn a_closing_event_is_the_last() {
    let (app, _) = app();
    assert!(post(&app, "/publish?topic=a&close=true", &[], "bye").await.is_ok());
    assert_eq!(refused(&app, "/publish?topic=a", &[], "more").await, Code::TopicClosed);
}

#[tokio::test]
async fn a_full_disk_is_reported_as_such() {
    let (app, store) = app();
    store.faults().set_full(true);
    assert_eq!(refused(&app, "/publish?topic=a", &[], "x").await, Code::StorageFull);
}

// Streams.

type Part = Result<Frame<Bytes>, Infallible>;
type Parts = mpsc::Sender<Part>;

fn channel() -> (Parts, StreamBody<ReceiverStream<Part>>) {
    let (sender, receiver) = mpsc::channel(8);
    (sender, StreamBody::new(ReceiverStream::new(receiver)))
}

/// A publisher that reads each receipt as it comes.
struct TestPublisher {
    parts: Option<Parts>,
    response: Response,
    unread: Vec<u8>,
}

impl TestPublisher {
    async fn new(app: &AppState, target: &str, content_type: &str) -> Self {
        let (parts, body) = channel();
        let request = http::Request::post(target).header("content-type", content_type).body(body).expect("valid");
        let response = answered(app, request).await.expect("a stream is answered at once");
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        Self { parts: Some(parts), response, unread: Vec::new() }
    }

    async fn lines(app: &AppState, target: &str) -> Self {
        Self::new(app, target, "application/x-ndjson").await
    }

    async fn send(&self, text: &str) {
        let frame = Frame::data(Bytes::copy_from_slice(text.as_bytes()));
        self.parts.as_ref().expect("open").send(Ok(frame)).await.expect("read");
    }

    fn end(&mut self) {
        self.parts = None;
    }

    /// The next line of the answer, `None` at its end.
    async fn line(&mut self) -> Option<Value> {
        within(async {
            while !self.unread.contains(&b'\n') {
                let frame = self.response.body_mut().frame().await?.expect("not broken off");
                self.unread.extend_from_slice(frame.data_ref().expect("data"));
            }
            let end = self.unread.iter().position(|&b| b == b'\n').expect("just seen");
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            Some(serde_json::from_slice(&line).expect("JSON"))
        })
        .await
    }

    /// All lines to the end: `ok`, or the code of the refusal.
    async fn rest(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(line) = self.line().await {
            all.push(line["error"]["code"].as_str().unwrap_or("ok").to_owned());
        }
        all
    }
}

/// Nothing here takes ten seconds unless it never ends.
async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), work).await.expect("it ends")
}

#[tokio::test]
async fn a_receipt_comes_while_the_stream_goes_on() {
    let (app, _) = app();
    let mut publisher = TestPublisher::lines(&app, "/publish?topic=a").await;
    for _ in 0..3 {
        publisher.send("{\"n\": 1}\n").await;
        assert_eq!(publisher.line().await.expect("a receipt")["id"], last_id(&app, "a"));
    }
    publisher.end();
    assert_eq!(publisher.line().await, None);
}

#[tokio::test]
async fn a_bad_line_is_refused_in_its_place_and_the_stream_goes_on() {
    let (app, _) = app();
    let mut publisher = TestPublisher::lines(&app, "/publish").await;
    publisher.send("{\"topic\":\"a\",\"data\":1}\n\nnope\n{\"topic\":\"b\",").await;
    publisher.send("\"data\":2}\n{\"topic\":\"hub\",\"data\":1}\n{\"topic\":\"a\",\"data\":3}").await;
    publisher.end();
    assert_eq!(publisher.rest().await, ["ok", "body-invalid", "ok", "topic-invalid", "ok"]);
    assert_eq!((app.hub.stats().events_in.get(), app.hub.stats().refused_by_code().len()), (3, 2));
    assert_eq!(app.bodies.memory.used(), 0, "no memory is kept");
}

#[tokio::test]
async fn blank_lines_take_no_memory() {
    let (app, _) = app();
    let mut publisher = TestPublisher::lines(&app, "/publish?topic=a").await;
    for _ in 0..4 {
        publisher.send(&"\n".repeat(testing::ROOM / 2)).await;
    }
    publisher.send("1\n").await;
    assert_eq!(publisher.line().await.expect("a receipt")["id"], last_id(&app, "a"));
}

#[tokio::test]
async fn lines_do_not_wait_for_the_receipts_before_them() {
    let (app, store) = app();
    store.faults().hold();
    let mut publisher = TestPublisher::lines(&app, "/publish?topic=a").await;
    publisher.send(&"1\n".repeat(500)).await;
    publisher.end();
    let early = tokio::time::timeout(Duration::from_millis(50), publisher.line()).await;
    assert!(early.is_err(), "no receipt before it is durable");
    assert!(store.faults().writes() <= 1);
    store.faults().release();
    assert_eq!(publisher.rest().await, vec!["ok"; 500]);
    assert!(store.faults().writes() <= 3, "{} flushes for 500 lines", store.faults().writes());
}

#[tokio::test]
async fn any_number_of_lines_that_arrive_together_is_answered_in_order() {
    let (app, store) = app_over(LogConfig { group_events: 100, ..LogConfig::fixture() });
    store.faults().hold();
    let mut publisher = TestPublisher::lines(&app, "/publish?topic=a&event=e").await;
    let lines: String = (1..=5000).map(|n| if n % 100 == 0 { "{\n".into() } else { format!("{n}\n") }).collect();
    publisher.send(&lines).await;
    publisher.end();
    let early = tokio::time::timeout(Duration::from_millis(50), publisher.line()).await;
    store.faults().release();
    assert!(early.is_err(), "no receipt before the first line is durable");
    let (mut seq, mut refused) = (0, 0);
    for n in 1..=5000 {
        let line = publisher.line().await.expect("an answer for each");
        if n % 100 == 0 {
            assert_eq!(line["error"]["code"], "body-invalid", "{n}");
            refused += 1;
        } else {
            seq += 1;
            assert_eq!(line["id"], format!("{}-{seq}", app.hub.epoch()), "{n}");
        }
    }
    assert_eq!((publisher.line().await, seq + refused), (None, 5000));
    assert_eq!(app.bodies.memory.used(), 0, "no memory is kept");
}

/// The engine of the tests panics when it is given more.
#[tokio::test]
async fn more_lines_or_single_events_than_the_engine_takes_at_once_go_to_it_in_parts() {
    let (app, _) = testing::app_with(LogConfig::fixture(), Capabilities { max_batch: Some(2), ..Capabilities::FULL });
    let mut publisher = TestPublisher::lines(&app, "/publish?topic=a").await;
    publisher.send(&"1\n".repeat(25)).await;
    publisher.end();
    assert_eq!(publisher.rest().await, vec!["ok"; 25]);
    let post = || post(&app, "/publish?topic=a", &[], "x");
    let (first, second, third) = tokio::join!(post(), post(), post());
    assert!(first.is_ok() && second.is_ok() && third.is_ok());
    assert_eq!(app.hub.stats().events_in.get(), 28);
}

#[tokio::test]
async fn a_full_queue_slows_a_stream_and_refuses_nothing() {
    let (app, store) = app_over(LogConfig { queue_bytes: 2000, ..LogConfig::fixture() });
    store.faults().hold();
    let mut publisher = TestPublisher::lines(&app, "/publish?topic=a").await;
    // Lines that came together may be more than the queue takes, when nothing else is in it.
    for part in 1..=4 {
        publisher.send(&format!("{part}\n").repeat(25)).await;
        publisher.send("nope\n").await;
    }
    publisher.end();
    assert!(tokio::time::timeout(Duration::from_millis(50), publisher.line()).await.is_err());
    store.faults().release();
    let part = [vec!["ok"; 25], vec!["body-invalid"]].concat();
    assert_eq!(publisher.rest().await, [&part[..]; 4].concat());
    assert_eq!(app.hub.stats().events_in.get(), 100);
}

#[tokio::test]
async fn the_end_of_a_stream_closes_the_topic_if_the_request_asks_for_it() {
    let (app, _) = app();
    let mut publisher = TestPublisher::lines(&app, "/publish?topic=a&close=true").await;
    publisher.send("1\n2\n").await;
    assert!(publisher.line().await.is_some() && publisher.line().await.is_some());
    assert!(!app.hub.topic(&TopicName::new("a").expect("valid")).expect("used").closed);
    publisher.end();
    assert_eq!(publisher.line().await, None);
    assert_eq!(refused(&app, "/publish?topic=a", &[], "more").await, Code::TopicClosed);
}

#[tokio::test]
async fn an_event_stream_can_be_published() {
    let (app, _) = app();
    let mut publisher = TestPublisher::new(&app, "/publish?topic=a", "text/event-stream").await;
    publisher
        .send("event: tick\nid: 5\ndata: a\ndata: b\n\n: nothing\n\nevent: hub.x\ndata: x\n\ndata: unfinished")
        .await;
    publisher.end();
    assert_eq!(publisher.rest().await, ["ok", "event-name-invalid"]);
}

#[tokio::test]
async fn a_drain_ends_a_stream_with_a_problem() {
    let (app, _) = app();
    let mut publisher = TestPublisher::lines(&app, "/publish?topic=a").await;
    publisher.send("1\n").await;
    assert!(publisher.line().await.is_some());
    app.net.drain.begin(Duration::from_secs(10));
    assert_eq!(publisher.rest().await, ["draining"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_data_is_stored_as_it_was_published(texts in prop::collection::vec(".{0,200}", 1..8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let config = LogConfig::fixture();
            let (app, store) = app_over(config.clone());
            let lines: Vec<String> = texts.iter().map(|text| Value::from(text.as_str()).to_string()).collect();
            let mut publisher = TestPublisher::lines(&app, "/publish?topic=a").await;
            publisher.send(&lines.join("\n")).await;
            publisher.end();
            assert_eq!(publisher.rest().await, vec!["ok"; texts.len()]);
            for text in &texts {
                post(&app, "/publish?topic=a", &[], text).await.expect("published");
            }
            drop((publisher, app));
            let broker = crate::hub::broker::Broker::new(1, &crate::hub::HubConfig::fixture());
            let engine = crate::engine::log::LogEngine::open(store, config, Arc::clone(&broker) as _);
            let selection = Selection::new([Filter::new("a").expect("valid")]).expect("one");
            let read_request = ReadRequest { selection, from: ReadFrom::Earliest, max_events: 100, max_bytes: 1 << 20 };
            let page = engine.read(read_request).await.expect("readable");
            let stored: Vec<String> = page.items.into_iter().filter_map(|item| match item {
                PageItem::Event(event) => Some(event.new.data.text().into_owned()),
                PageItem::Gap(_) => None,
            }).collect();
            assert_eq!(stored, [&texts[..], &texts[..]].concat());
        });
    }
}
