//! Reading: direct gets, which any replica answers, perhaps late; and gets of the stream's leader.

use std::time::Duration;

use async_nats::{HeaderMap, Message};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use tokio_stream::StreamExt;

use super::{
    client::Nats,
    error::NatsError,
    message::{Headers, Stored, nanoseconds, parsed_block},
};

/// Most messages of a page: the client's buffer of a subscription holds twice as many.
pub(super) const MOST: usize = 8_192;

/// Until an answer begins, and between its messages. A replica answers within 1 ms, and within 0.2 s where it counts a
/// million subjects; a paused one never does.
const READ_WAIT: Duration = Duration::from_secs(2);

/// Status of an answer: the end of a page, nothing found.
const END: u16 = 204;
const NOTHING: u16 = 404;

/// `err_code` of a position or subject that holds no message.
const NO_MESSAGE: u64 = 10_037;

/// A page to read.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Range {
    /// A subject, also with wildcards.
    pub(in crate::engine) filter: String,
    /// The first position that may be part of it.
    pub(in crate::engine) from: u64,
    /// At least 1. At most 8192 messages are returned.
    pub(in crate::engine) max: usize,
    /// The page ends with the message that reaches it (subjects, headers and payloads).
    pub(in crate::engine) max_bytes: usize,
}

/// What one replica knew.
#[derive(Debug, Default)]
pub(in crate::engine) struct RangePage {
    /// Ascending.
    pub(in crate::engine) messages: Vec<Stored>,
    /// Messages of the filter behind the page, to the knowledge of the replica. 0 proves nothing: it may be behind.
    pub(in crate::engine) pending: u64,
}

#[derive(Serialize)]
struct RangeBody<'a> {
    next_by_subj: &'a str,
    seq: u64,
    batch: usize,
    max_bytes: usize,
}

#[derive(Serialize)]
#[serde(untagged)]
enum GetBody<'a> {
    Seq { seq: u64 },
    Last { last_by_subj: &'a str },
    Next { next_by_subj: &'a str, seq: u64 },
}

#[derive(Deserialize)]
struct Got {
    message: GotMessage,
}

#[derive(Deserialize)]
struct GotMessage {
    subject: String,
    seq: u64,
    time: String,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
}

impl Nats {
    /// A page of messages from a position on, as one replica knows it: it may lack the newest ones, and hold purged ones.
    /// Bounded by 2 s without a message. Dropping the future ends it.
    pub(in crate::engine) async fn range(&self, range: Range) -> Result<RangePage, NatsError> {
        let inbox = self.client().new_inbox();
        let mut answers = self.subscriber(&inbox).await?;
        let batch = range.max.clamp(1, MOST);
        let body =
            RangeBody { next_by_subj: &range.filter, seq: range.from.max(1), batch, max_bytes: range.max_bytes.max(1) };
        let body = serde_json::to_vec(&body).map_err(|error| NatsError::Setup(error.to_string()))?;
        let subject = format!("$JS.API.DIRECT.GET.{}", self.stream_name());
        let mut denials = self.denials();
        let sent = self.client().publish_with_reply(subject.clone(), inbox, body.into());
        bounded(sent).await?.map_err(|error| NatsError::Setup(error.to_string()))?;
        let mut page = RangePage::default();
        loop {
            let answer = tokio::select! {
                biased;
                answer = bounded(answers.next()) => answer?,
                told = denials.of(&subject) => return Err(NatsError::Denied(told)),
            };
            let message = answer.ok_or_else(|| NatsError::NoAnswer("the connection has ended".into()))?;
            match status(&message) {
                None => page.push(message)?,
                Some(NOTHING) => return Ok(page),
                Some(END) => {
                    let end = Headers::from(message.headers.unwrap_or_default());
                    page.follows(&end)?;
                    page.pending = end.number("Nats-Num-Pending").unwrap_or(0);
                    return Ok(page);
                }
                Some(code) => return Err(refused(code, &message)),
            }
        }
    }

    /// The message at a position, as one replica knows it. `None` may also mean that the replica is behind.
    pub(in crate::engine) async fn message(&self, seq: u64) -> Result<Option<Stored>, NatsError> {
        let subject = format!("$JS.API.DIRECT.GET.{}", self.stream_name());
        let body = format!("{{\"seq\":{seq}}}");
        let message = self.ask(subject, None, body.into(), READ_WAIT).await?;
        match status(&message) {
            None => Stored::from_copy(message.headers, message.payload).map(Some),
            Some(NOTHING) => Ok(None),
            Some(code) => Err(refused(code, &message)),
        }
    }

    /// The message at a position, by the stream's leader. One that is cut off or was paused leads on for some seconds, to
    /// its own knowledge, and then `None` is wrong: a message that is found was stored, one that is not may be. Proof
    /// that it leads is a write alone.
    pub(in crate::engine) async fn leader_message(&self, seq: u64) -> Result<Option<Stored>, NatsError> {
        self.leader_get(&GetBody::Seq { seq }).await
    }

    /// The newest message of a subject, by the stream's leader.
    pub(in crate::engine) async fn leader_last(&self, subject: &str) -> Result<Option<Stored>, NatsError> {
        self.leader_get(&GetBody::Last { last_by_subj: subject }).await
    }

    /// The first message of a filter from a position on, by the stream's leader. See [`Nats::leader_message`] for what `None`
    /// proves.
    pub(in crate::engine) async fn leader_next(&self, filter: &str, from: u64) -> Result<Option<Stored>, NatsError> {
        self.leader_get(&GetBody::Next { next_by_subj: filter, seq: from }).await
    }

    async fn leader_get(&self, body: &GetBody<'_>) -> Result<Option<Stored>, NatsError> {
        match self.api::<Got>(&format!("STREAM.MSG.GET.{}", self.stream_name()), body).await {
            Ok(got) => got.message.stored().map(Some),
            Err(NatsError::Refused { code: NO_MESSAGE, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl RangePage {
    fn push(&mut self, message: Message) -> Result<(), NatsError> {
        let stored = Stored::from_copy(message.headers, message.payload)?;
        self.follows(&stored.headers)?;
        self.messages.push(stored);
        Ok(())
    }

    /// Every answer names the position of the one before it: the client drops messages when its buffer is full.
    fn follows(&self, headers: &Headers) -> Result<(), NatsError> {
        let last = self.messages.last().map_or(0, |message| message.seq);
        match headers.number("Nats-Last-Sequence") {
            Some(before) if before == last => Ok(()),
            _ => Err(NatsError::NoAnswer("a message of the page was lost on the way".into())),
        }
    }
}

impl GotMessage {
    fn stored(self) -> Result<Stored, NatsError> {
        let bad = |what: &str| NatsError::Malformed(format!("a stored message with a malformed {what}"));
        let block = BASE64_STANDARD.decode(&self.hdrs).map_err(|_| bad("block of headers"))?;
        let headers =
            if block.is_empty() { HeaderMap::new() } else { parsed_block(&block).ok_or_else(|| bad("header"))? };
        let payload = BASE64_STANDARD.decode(&self.data).map_err(|_| bad("payload"))?;
        let time = nanoseconds(&self.time).ok_or_else(|| bad("time"))?;
        Ok(Stored::new(self.subject, self.seq, time, headers.into(), payload.into()))
    }
}

/// Waits for [`READ_WAIT`].
async fn bounded<F: Future>(future: F) -> Result<F::Output, NatsError> {
    let silence =
        |_| NatsError::NoAnswer(format!("no replica has answered a direct get within {} s", READ_WAIT.as_secs()));
    tokio::time::timeout(READ_WAIT, future).await.map_err(silence)
}

/// The status of an answer that is no stored message.
pub(super) fn status(message: &Message) -> Option<u16> {
    message.status.map(|status| status.as_u16())
}

/// What a status means that is none of an answer. 409 is of a consumer that is lost (nats-server's `consumer.go`: a server
/// that stops, a leader that changes, a consumer that is gone), 429 of a server that has too much to do.
pub(super) fn refused(code: u16, message: &Message) -> NatsError {
    let text = message.description.clone().unwrap_or_default();
    match code {
        409 | 429 => NatsError::NoAnswer(format!("{text} ({code})")),
        503 => NatsError::NoAnswer("no replica of the stream can be reached".into()),
        _ => NatsError::Refused { code: code.into(), text },
    }
}

#[cfg(test)]
mod tests {
    use async_nats::StatusCode;

    use super::*;

    #[test]
    fn a_server_that_stops_may_answer_later() {
        let told = |code: u16, text: &str| {
            let message = Message {
                subject: "s".into(),
                reply: None,
                payload: bytes::Bytes::new(),
                headers: None,
                status: StatusCode::from_u16(code).ok(),
                description: Some(text.into()),
                length: 0,
            };
            refused(status(&message).expect("a status"), &message)
        };
        for (code, text) in
            [(409, "Server Shutdown"), (409, "Leadership Change"), (429, "Too Many Requests"), (503, "")]
        {
            assert!(matches!(told(code, text), NatsError::NoAnswer(_)), "{code} {text}");
        }
        assert!(matches!(told(408, "Bad Request"), NatsError::Refused { code: 408, .. }));
    }
}
