//! Writing: one message or one atomic batch, fenced by the expected last position.

use std::{pin::pin, time::Duration};

use async_nats::HeaderMap;
use bytes::Bytes;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::{
    api::{ApiError, understood},
    client::{AskError, Nats},
    error::WriteError,
    message::{BATCH_COMMIT, BATCH_ID, BATCH_SEQUENCE, Outgoing, header_map},
};

const EXPECTED_LAST: &str = "Nats-Expected-Last-Sequence";

/// The largest that our own headers make a message: names, values, separators, in bytes.
const OWN_HEADERS: usize = 256;

/// The answer to a publish.
#[derive(Deserialize)]
struct PubAck {
    error: Option<ApiError>,
    seq: Option<u64>,
}

/// A message that is ready to be sent.
struct Ready {
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
}

impl Nats {
    /// Stores all of `messages`, in order and without others between, or none: one message alone, several as an atomic
    /// batch. Returns the position of the last one; the others are directly below it. `expected_last` is the position of
    /// the newest message that the stream may have; 0 when it never had one. `wait` bounds it.
    ///
    /// Several writes may be under way, each expecting the end of the one before, if they are sent in this order: with
    /// the first call polled before the second one.
    ///
    /// Dropping the future leaves the write as [`WriteError::Unknown`] does.
    ///
    /// # Errors
    /// [`WriteError::WrongLast`] may also come from a server that does not know yet that it leads no more. So it proves
    /// that this attempt is not stored, and not that someone else has written.
    pub(in crate::engine) async fn write(
        &self,
        messages: Vec<Outgoing>,
        expected_last: u64,
        wait: Duration,
    ) -> Result<u64, WriteError> {
        let deadline = Instant::now() + wait;
        let mut ready = self.prepared(messages)?;
        if !self.is_connected() {
            return Err(WriteError::NotNow("no connection to a NATS server".into()));
        }
        let Some(first) = ready.first_mut() else { return Err(WriteError::Refused("nothing to store".into())) };
        first.headers.insert(EXPECTED_LAST, expected_last.to_string());
        if ready.len() == 1 {
            let only = ready.swap_remove(0);
            return position(self.ask(only.subject, Some(only.headers), only.payload, wait).await);
        }
        let mut committing = false;
        match timeout_at(deadline, self.batch(ready, wait, &mut committing)).await {
            Ok(result) => result,
            Err(_) if committing => Err(WriteError::Unknown(format!("no answer within {} ms", wait.as_millis()))),
            Err(_) => Err(WriteError::NotNow("the connection does not take the batch".into())),
        }
    }

    /// Checks all before anything is sent, so that a refusal by the client leaves no open batch.
    fn prepared(&self, messages: Vec<Outgoing>) -> Result<Vec<Ready>, WriteError> {
        let most = self.client().max_payload();
        let ready = |message: Outgoing| {
            let headers = message.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>();
            let size = message.payload.len() + headers + OWN_HEADERS;
            if size > most {
                return Err(WriteError::TooLarge(format!("{size} bytes, the server takes {most}")));
            }
            let headers = header_map(&message.headers).map_err(WriteError::Refused)?;
            Ok(Ready { subject: message.subject, headers, payload: message.payload })
        };
        messages.into_iter().map(ready).collect()
    }

    /// Sends a batch. `committing` is set before the message that may store it.
    async fn batch(&self, mut ready: Vec<Ready>, wait: Duration, committing: &mut bool) -> Result<u64, WriteError> {
        let id = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        for (message, place) in ready.iter_mut().zip(1u64..) {
            message.headers.insert(BATCH_ID, id.as_str());
            message.headers.insert(BATCH_SEQUENCE, place.to_string());
        }
        let mut last = ready.pop().expect("a batch has several messages");
        last.headers.insert(BATCH_COMMIT, "1");
        let mut ready = ready.into_iter();
        let first = ready.next().expect("a batch has several messages");
        let mut first = pin!(self.ask(first.subject, Some(first.headers), first.payload, wait));
        let mut rest = pin!(async {
            for message in ready {
                let sent = self.client().publish_with_headers(message.subject, message.headers, message.payload);
                sent.await.map_err(|error| WriteError::Refused(error.to_string()))?;
            }
            *committing = true;
            position(self.ask(last.subject, Some(last.headers), last.payload, wait).await)
        });
        let mut opened = false;
        loop {
            tokio::select! {
                biased; // Polled first, the first message is the first in the connection's queue.
                answer = &mut first, if !opened => match answer {
                    Ok(message) if message.payload.is_empty() => opened = true,
                    Ok(message) => position(Ok(message)).map(drop)?,
                    // Without it the commit's answer decides.
                    Err(AskError::Silence(_)) => opened = true,
                    Err(error) => return Err(error.into()),
                },
                result = &mut rest => return result,
            }
        }
    }
}

/// What the answer to the last message of a write says.
fn position(answer: Result<async_nats::Message, AskError>) -> Result<u64, WriteError> {
    let ack: PubAck = understood(&answer?.payload).map_err(|error| WriteError::Unknown(error.to_string()))?;
    match ack {
        PubAck { error: Some(error), .. } => Err(refusal(&error)),
        PubAck { seq: Some(seq), .. } => Ok(seq),
        PubAck { .. } => Err(WriteError::Unknown("an acknowledgement without a position".into())),
    }
}

impl From<AskError> for WriteError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Nobody => Self::NotNow("the stream has no leader now, or does not exist".into()),
            AskError::Unsendable(text) => Self::Refused(text),
            AskError::TooLarge => Self::TooLarge("larger than the server takes".into()),
            AskError::Denied(text) => Self::Denied(text),
            AskError::Silence(text) => Self::Unknown(text),
        }
    }
}

/// Numbers of nats-server 2.15's `server/errors.json`. What a leader says before it proposes a write to the others is
/// certain; what the store says afterwards may hold for one replica only, and is [`WriteError::Unknown`].
fn refusal(error: &ApiError) -> WriteError {
    let text = || format!("{} ({})", error.description, error.err_code);
    match error.err_code {
        // Wrong last sequence: with the number, and without while another write is under way.
        10_071 | 10_164 => WriteError::WrongLast,
        10_199 => WriteError::TooMany,
        10_054 => WriteError::TooLarge(text()),
        // Resources of the account, of the server's memory and disk, of the cluster.
        10_002 | 10_023 | 10_028 | 10_047 => WriteError::Full(text()),
        // The store's refusal; `maximum messages exceeded` and `maximum bytes exceeded` are limits of the stream.
        10_077 if error.description.contains("maximum") => WriteError::Full(text()),
        // No cluster, no leader, an incomplete batch (its leader has changed), a twin under way, too many open batches.
        10_008 | 10_009 | 10_158 | 10_176 | 10_210 | 10_211 => WriteError::NotNow(text()),
        // Requests that cannot be stored as they are: batches, rollups or TTLs not allowed, unknown headers, sealed.
        10_003 | 10_052 | 10_060 | 10_109 | 10_111 | 10_165 | 10_166 | 10_174..=10_179 | 10_200..=10_201 => {
            WriteError::Refused(text())
        }
        _ => WriteError::Unknown(text()),
    }
}
