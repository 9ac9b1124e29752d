//! A stream of events up, and of their receipts down, over one `POST`.

use std::{io, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    Method,
    body::{Frame, Incoming},
    header::{self, HeaderMap, HeaderValue},
};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

use super::{
    Args, close,
    input::{Lines, Progress},
};
use crate::cli::{
    CliError,
    client::{Dial, Hub},
    output::{complain, print_line},
    problem::{Document, Problem},
};

/// Time that a hub may leave lines without a receipt: far above any commit, below anyone's patience.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest line of the answer: a receipt or a problem has a few hundred bytes.
const MAX_LINE_BYTES: usize = 64 * 1024;

#[derive(Serialize)]
struct Envelope<'a> {
    topic: &'a str,
    data: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<u32>,
}

/// A line of the answer that is no receipt.
#[derive(Deserialize)]
struct Refusal {
    error: Document,
}

/// Publishes `lines` as they arrive; prints each receipt as it comes, and says which lines were refused.
pub(super) async fn publish<D: Dial>(
    hub: &Hub<D>,
    args: &Args,
    lines: Lines,
    out: &mut impl io::Write,
) -> Result<(), CliError> {
    let Lines { receiver, progress } = lines;
    let (topic, event, retry) = (args.topic.clone(), args.event.clone(), args.retry);
    let envelopes = ReceiverStream::new(receiver).map(move |line| {
        let line = line?;
        let envelope = Envelope { topic: &topic, data: &line, event: event.as_deref(), retry };
        let mut text = serde_json::to_vec(&envelope)?;
        text.push(b'\n');
        io::Result::Ok(Frame::data(Bytes::from(text)))
    });
    let mut headers = HeaderMap::new();
    let ndjson = HeaderValue::from_static("application/x-ndjson");
    headers.insert(header::ACCEPT, ndjson.clone());
    headers.insert(header::CONTENT_TYPE, ndjson);
    let response = hub.send(Method::POST, "/publish", headers, StreamBody::new(envelopes)).await?;
    if !response.status().is_success() {
        return Err(CliError::Refused(Problem::read(response).await));
    }
    let mut receipts = Receipts { body: response.into_body(), pending: Vec::new(), confirmed: 0, refused: 0 };
    let broke = receipts.print(&progress, out).await?;
    receipts.judge(&progress, broke)?;
    if args.close { close(hub, &args.topic).await } else { Ok(()) }
}

struct Receipts {
    body: Incoming,
    pending: Vec<u8>,
    confirmed: u64,
    refused: u64,
}

impl Receipts {
    /// Prints receipts until the answer ends; `Some` says why it ended too early. Errors are those of the output.
    async fn print(&mut self, progress: &Progress, out: &mut impl io::Write) -> Result<Option<String>, CliError> {
        loop {
            let chunk = match timeout(ANSWER_TIMEOUT, self.body.frame()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                Ok(Some(Err(error))) => return Ok(Some(CliError::broken(&error).to_string())),
                Err(_) if self.answered() == progress.lines() && !progress.has_ended() => continue,
                Err(_) => return Ok(Some(format!("the hub has said nothing for {} s", ANSWER_TIMEOUT.as_secs()))),
            };
            self.pending.extend_from_slice(&chunk);
            while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                self.line(line.trim_ascii(), out)?;
            }
            if self.pending.len() > MAX_LINE_BYTES {
                return Ok(Some(format!("a receipt has more than {MAX_LINE_BYTES} bytes")));
            }
        }
    }

    fn line(&mut self, line: &[u8], out: &mut impl io::Write) -> Result<(), CliError> {
        if line.is_empty() {
            return Ok(());
        }
        if let Ok(refusal) = serde_json::from_slice::<Refusal>(line) {
            self.refused += 1;
            complain(format_args!("line {}: {}", self.answered(), Problem::from(refusal.error)));
            return Ok(());
        }
        self.confirmed += 1;
        print_line(out, line)
    }

    fn answered(&self) -> u64 {
        self.confirmed + self.refused
    }

    /// Whether every line that was read has its receipt.
    fn judge(&self, progress: &Progress, broke: Option<String>) -> Result<(), CliError> {
        let (lines, answered, refused) = (progress.lines(), self.answered(), self.refused);
        if !progress.has_ended() || answered < lines || broke.is_some() {
            let why = broke.unwrap_or_else(|| "the hub ended the stream".into());
            let next = answered + 1;
            return Err(CliError::Unconfirmed(format!(
                "{why}; {answered} lines were answered, so publish again from line {next} on"
            )));
        }
        if refused > 0 {
            return Err(CliError::Unconfirmed(format!("{refused} of {lines} lines were refused")));
        }
        Ok(())
    }
}
