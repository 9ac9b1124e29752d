//! Steps that publish.

use std::sync::Arc;

use gapless_client::{ClientError, Data, NewEvent, PublishStream, Receipt};
use serde_json::{Value, json};

use crate::{
    Failure,
    consumer::{hub, problem},
    matching::{Saved, known, matches},
};

/// What a step publishes: its receipts.
pub(crate) type Published = Result<Vec<Receipt>, ClientError>;

pub(crate) fn data(value: &Value) -> Data {
    value.as_str().map_or_else(|| value.clone().into(), Into::into)
}

fn event(value: &Value) -> NewEvent {
    let mut event = NewEvent::new(value["topic"].as_str().unwrap_or_default(), data(&value["data"]));
    if let Some(name) = value["event"].as_str() {
        event = event.event(name);
    }
    if value["close"] == true { event.close() } else { event }
}

/// Publishes what a step says.
pub(crate) async fn publish(url: String, step: Value, saved: Saved) -> Result<Published, Failure> {
    let hub = hub(&url, &step["token"], &Arc::default())?;
    let key = step["key"].as_str();
    let if_match = step["if_match"].as_str().map(|id| known(&saved, id));
    if let Some(batch) = step["batch"].as_array() {
        let mut batch = hub.publish_batch(batch.iter().map(event));
        if let Some(key) = key {
            batch = batch.key(key);
        }
        return Ok(batch.await);
    }
    let mut one = hub.publish(event(&step));
    if let Some(key) = key {
        one = one.key(key);
    }
    if let Some(id) = if_match {
        one = one.if_match(id);
    }
    Ok(one.await.map(|receipt| vec![receipt]))
}

/// Ends a publish stream.
pub(crate) async fn finish(stream: PublishStream, last: Value) -> Published {
    let receipt = match last.is_null() {
        true => stream.close().await?,
        false => stream.finish(last["event"].as_str(), data(&last["data"])).await?,
    };
    Ok(receipt.into_iter().collect())
}

/// Judges the outcome of a step, and saves its ids.
pub(crate) fn judge(step: &Value, outcome: Published, saved: &mut Saved) -> Result<(), Failure> {
    let wants_failure = !step["error"].is_null() || !step["uncertain"].is_null();
    let receipts = match outcome {
        Ok(receipts) if wants_failure => return Err(format!("it succeeded: {receipts:?}")),
        Ok(receipts) => receipts,
        Err(error) if !wants_failure => return Err(format!("it failed: {error}")),
        Err(ClientError::Uncertain { key, cause }) if !step["uncertain"].is_null() => {
            return matches(saved, &json!({"key": key, "cause": problem(&cause)}), &step["uncertain"]);
        }
        Err(error @ ClientError::Uncertain { .. }) => return Err(format!("it is uncertain: {error}")),
        Err(error) if !step["error"].is_null() => return matches(saved, &problem(&error), &step["error"]),
        Err(error) => return Err(format!("it is certain: {error}")),
    };
    let spelled = |receipt: &Receipt| json!({"topic": receipt.topic, "id": receipt.id, "time": receipt.time, "subscribers": receipt.subscribers});
    let all: Vec<Value> = receipts.iter().map(spelled).collect();
    if !step["receipt"].is_null() {
        matches(saved, &all.first().cloned().unwrap_or_default(), &step["receipt"])?;
    }
    if !step["receipts"].is_null() {
        matches(saved, &Value::Array(all), &step["receipts"])?;
    }
    let names = match &step["save"] {
        Value::Array(names) => names.clone(),
        Value::Null => Vec::new(),
        name => vec![name.clone()],
    };
    for (name, receipt) in names.iter().zip(receipts) {
        saved.insert(name.as_str().unwrap_or_default().into(), receipt.id);
    }
    Ok(())
}
