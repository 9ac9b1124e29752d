//! A subscription with its consumer.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use gapless_client::{ClientError, CursorStore, Delivery, Hub, Item, StoreFuture, Subscription, TokenFailure};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_stream::StreamExt;

use crate::Failure;

/// Cursors by the names of their stores.
pub(crate) type Stores = Arc<Mutex<BTreeMap<String, String>>>;

/// How a subscription has ended.
pub(crate) enum Ended {
    Done,
    /// Its consumer has failed.
    Failed,
    Error(Box<ClientError>),
}

pub(crate) struct Consumer {
    pub(crate) taken: Arc<Mutex<Vec<Value>>>,
    pub(crate) ended: Arc<Mutex<Option<Ended>>>,
    pub(crate) tokens: Arc<AtomicUsize>,
    again: Arc<Notify>,
    task: JoinHandle<()>,
}

/// The hub of a step, with its token.
pub(crate) fn hub(url: &str, token: &Value, calls: &Arc<AtomicUsize>) -> Result<Hub, Failure> {
    let builder = Hub::builder(url);
    let builder = match token {
        Value::String(token) => builder.token(token),
        Value::Array(tokens) => {
            let tokens: Vec<String> = tokens.iter().filter_map(Value::as_str).map(Into::into).collect();
            let calls = Arc::clone(calls);
            builder.token_function(move || {
                let call = calls.fetch_add(1, Ordering::SeqCst);
                let token = tokens[call.min(tokens.len() - 1)].clone();
                async move { Ok::<_, TokenFailure>(token) }
            })
        }
        _ => builder,
    };
    builder.build().map_err(|error| error.to_string())
}

struct NamedStore(Stores, String);

impl CursorStore for NamedStore {
    fn get(&self) -> StoreFuture<'_, Option<String>> {
        Box::pin(async { Ok(self.0.lock().get(&self.1).cloned()) })
    }

    fn set<'a>(&'a self, cursor: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async {
            self.0.lock().insert(self.1.clone(), cursor.into());
            Ok(())
        })
    }
}

impl Consumer {
    pub(crate) fn start(url: &str, step: &Value, stores: &Stores) -> Result<Self, Failure> {
        let tokens = Arc::default();
        let topics = step["topics"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let mut subscribe = hub(url, &step["token"], &tokens)?.subscribe(topics);
        if let Some(from) = step["from"].as_str() {
            subscribe = subscribe.from(from);
        }
        if let Some(since) = step["since"].as_str() {
            subscribe = subscribe.since(since);
        }
        if let Some(cursor) = step["cursor"].as_str() {
            subscribe = subscribe.cursor(cursor);
        }
        if let Some(store) = step["store"].as_str() {
            subscribe = subscribe.store(NamedStore(Arc::clone(stores), store.into()));
        }
        if step["delivery"] == "at-most-once" {
            subscribe = subscribe.delivery(Delivery::AtMostOnce);
        }
        let (taken, ended, again) = (Arc::default(), Arc::<Mutex<Option<Ended>>>::default(), Arc::new(Notify::new()));
        let consuming = consume(
            subscribe.start(),
            step["pause_after"].as_u64(),
            step["fails_on"].as_str().map(Into::into),
            Arc::clone(&taken),
            Arc::clone(&again),
        );
        let end = Arc::clone(&ended);
        let task = tokio::spawn(async move {
            let outcome = consuming.await;
            *end.lock() = Some(outcome);
        });
        Ok(Self { taken, ended, tokens, again, task })
    }

    /// The consumer goes on.
    pub(crate) fn take(&self) {
        self.again.notify_one();
    }

    /// The consumer leaves: the subscription is dropped.
    pub(crate) fn leave(&self) {
        self.task.abort();
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.leave();
    }
}

async fn consume(
    mut items: Subscription,
    pause_after: Option<u64>,
    fails_on: Option<String>,
    taken: Arc<Mutex<Vec<Value>>>,
    again: Arc<Notify>,
) -> Ended {
    let (mut count, mut told) = (0, Vec::new());
    while let Some(item) = StreamExt::next(&mut items).await {
        let item = match item {
            Ok(item) => item,
            Err(error) => return Ended::Error(Box::new(error)),
        };
        if matches!((&item, &fails_on), (Item::Event(event), Some(data)) if event.data == *data) {
            return Ended::Failed;
        }
        let spelled = spelled(item);
        let mut same = spelled.clone();
        same["resumes_at"] = Value::Null;
        let may_repeat = spelled["type"] == "gap" || spelled["type"] == "end";
        // A gap and an end may come again.
        if !(may_repeat && told.contains(&same)) {
            taken.lock().push(spelled);
            told.push(same);
        }
        if !may_repeat {
            told.pop();
        }
        count += 1;
        if pause_after == Some(count) {
            again.notified().await;
        }
    }
    Ended::Done
}

fn spelled(item: Item) -> Value {
    match item {
        Item::Event(event) => json!({"type": "event", "topic": event.topic, "id": event.id, "event": event.event,
            "data": event.data, "time": event.time, "encoding": event.encoding}),
        Item::Gap(gap) => json!({"type": "gap", "topic": gap.topic, "reason": gap.reason, "after": gap.after,
            "resumes_at": gap.resumes_at}),
        Item::End(end) => json!({"type": "end", "topic": end.topic, "reason": end.reason, "last_id": end.last_id}),
        Item::Removed(removed) => json!({"type": "removed", "topic": removed.topic, "id": removed.id,
            "position": removed.position, "time": removed.time}),
        other => json!({"type": format!("unknown: {other:?}")}),
    }
}

/// A problem as the format spells it. Another server's success has the status 200 there.
pub(crate) fn problem(error: &ClientError) -> Value {
    match error {
        ClientError::NotAHub(what) => json!({"status": 200, "code": null, "title": what}),
        ClientError::Uncertain { cause, .. } => problem(cause),
        ClientError::Stream(cause) => problem(cause),
        error => error.problem().map_or_else(
            || json!({"error": error.to_string()}),
            |problem| {
                json!({"status": problem.status(), "code": problem.code(), "title": problem.title(),
                    "detail": problem.detail(), "last_id": problem.last_id()})
            },
        ),
    }
}
