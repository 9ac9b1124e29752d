//! Proof of where the log ends.
//!
//! What a replica or a stream's leader says of the end may be old. A hub that leads and has just written something knows it:
//! nobody else can have written since its record.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

use super::{link::Link, messages::Messages, nats::NatsError};
use crate::engine::{AppendError, log::queue::Job};

/// For the answer of the leading hub: a write, and the way there and back.
const ANSWER: Duration = Duration::from_secs(2);

/// Between two questions.
const AGAIN: Duration = Duration::from_millis(200);

/// How long the end of the log is asked for. The requests that wait for it are answered within 10 s.
const PATIENCE: Duration = Duration::from_secs(8);

/// A leading hub without anything to write shows once in so long that it could.
pub(super) const IDLE: Duration = Duration::from_secs(5);

/// The answer of the leading hub.
#[derive(Debug, Serialize, Deserialize)]
struct Proved {
    /// The newest position, records included, when something was written after the question.
    end: u64,
}

/// Answers other hubs while this one leads.
pub(super) async fn answer(link: Arc<Link>) {
    let mut questions = Messages::of(&link.nats, subject(&link, link.hub.as_str()));
    loop {
        let Some(reply) = questions.next().await.reply else { continue };
        if !link.shared().leads() {
            continue;
        }
        let link = Arc::clone(&link);
        tokio::spawn(async move {
            // Without an answer the other hub asks again.
            if prove(&link).await.is_ok() {
                let proved = Proved { end: link.shared().store.last() };
                let text = serde_json::to_vec(&proved).expect("it has no maps");
                drop(link.nats.publish(&reply, text.into()).await);
            }
        });
    }
}

/// Waits until this hub has read the log up to `position`, or the log is proved to end before it.
///
/// # Errors
/// When neither happens in time.
pub(super) async fn reach(link: Arc<Link>, position: u64) -> Result<(), String> {
    let (until, mut applied) = (Instant::now() + PATIENCE, link.applied.subscribe());
    let is_read = || link.shared().head().0 >= position;
    let mut led_past = false;
    loop {
        // Applied, and not read: it is the position of a record, which no reader was given.
        if is_read() || *applied.borrow_and_update() >= position {
            return Ok(());
        }
        match end(&link).await {
            Ok(end) if end < position => return Ok(()),
            // So it is when the hub that leads has written it before it wrote its proof.
            Ok(_) if led_past && link.shared().leads() => return Ok(()),
            Ok(_) => led_past = link.shared().leads(),
            Err(_) => {}
        }
        if Instant::now() >= until {
            return Err("this hub is behind the log, or nobody can say where it ends".into());
        }
        tokio::select! {
            _ = applied.changed() => {}
            () = sleep(AGAIN) => {}
        }
    }
}

/// The end of the log, proved after this was called.
async fn end(link: &Link) -> Result<u64, NatsError> {
    if link.shared().leads() {
        prove(link).await.map_err(|error| NatsError::NoAnswer(error.to_string()))?;
        return Ok(link.shared().store.last());
    }
    let leader = link.view.leader().ok_or_else(|| NatsError::NoAnswer("no hub leads".into()))?;
    let answer = link.nats.request(&subject(link, &leader.hub), Bytes::new(), ANSWER).await?;
    let proved: Proved = serde_json::from_slice(&answer).map_err(|error| NatsError::Malformed(error.to_string()))?;
    Ok(proved.end)
}

/// Writes something, as the hub that leads.
pub(super) async fn prove(link: &Link) -> Result<(), AppendError> {
    let (reply, answer) = oneshot::channel();
    link.shared().queue.push(Job::Prove(reply)).map_err(|(error, _)| error)?;
    let fenced = || AppendError::NotNow { reason: "this hub leads no more".into() };
    answer.await.unwrap_or_else(|_| Err(fenced()))
}

fn subject(link: &Link, hub: &str) -> String {
    format!("hub.{}.prove.{hub}", link.prefix)
}
