//! `gapless publish`: one event, or each line of stdin as one.
//!
//! | room | idea |
//! |---|---|
//! | this file | what to publish, and one event |
//! | `lines` | lines as batches, sent until it is known what became of each |
//! | `batch` | lines as envelopes, and those that go together |
//! | `ledger` | what became of each line |
//! | `pace` | how often a batch may go |
//! | `talk` | requests over one connection |
//! | `input` | stdin, without a runtime waiting for it |

use std::io;

use bytes::Bytes;
use clap::value_parser;
use form_urlencoded::Serializer;
use hyper::{
    Method,
    header::{self, HeaderMap, HeaderValue},
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{
    CliError,
    client::{Dial, HubArgs, HubClient},
    output::{self, print_line},
};
use crate::event::{TopicName, record::MAX_RETRY_MS, topic::TopicError};

mod batch;
mod input;
mod ledger;
mod lines;
mod pace;
mod talk;
#[cfg(test)]
mod tests;

use self::{
    input::InputLines,
    talk::{HubResponse, Silence, Talk},
};

/// What to publish.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints a receipt, a JSON object, for each event: it is durable. Without DATA the event is all of
stdin, as it is.

--lines and --ndjson send the lines that wait as one batch with an Idempotency-Key of its own, so a
hub that is restarted or killed meanwhile is waited for, and nothing is lost, doubled or out of
order. A line that is not UTF-8, is no envelope, or is refused is told on stderr, and the others go
on. Exit code 1 when a line was not published; the last words say which.

  gapless publish notices 'Backup done'
  date | gapless publish clock --event tick
  my-model | gapless publish jobs/42/tokens --lines --close
  gapless tail 'jobs/**' --json | gapless publish --ndjson --url https://other.example")]
pub struct PublishArgs {
    /// Topic, as in jobs/42/tokens
    #[arg(required_unless_present = "ndjson", conflicts_with = "ndjson", value_parser = topic)]
    topic: Option<String>,
    /// Data of the event; - or nothing reads it from stdin
    #[arg(allow_negative_numbers = true, conflicts_with_all = ["lines", "ndjson"])]
    data: Option<String>,
    /// Publish each line of stdin as an event, as it arrives
    #[arg(long)]
    lines: bool,
    /// The same, but each line is a JSON object that names its topic: topic, data, and event, retry and close if need be, or
    /// what tail --json prints
    #[arg(long, conflicts_with = "lines")]
    ndjson: bool,
    /// Name of the event [default: message]
    #[arg(long, value_name = "NAME")]
    event: Option<String>,
    /// Milliseconds that its readers should wait before they reconnect
    #[arg(long, value_name = "MS", value_parser = value_parser!(u32).range(..=i64::from(MAX_RETRY_MS)))]
    retry: Option<u32>,
    /// Close the topic after it: its streams end
    #[arg(long, conflicts_with = "ndjson")]
    close: bool,
    /// Idempotency-Key: publishing again with the same key adds nothing
    #[arg(long, value_name = "KEY", conflicts_with_all = ["lines", "ndjson"])]
    key: Option<HeaderValue>,
    #[command(flatten)]
    hub: HubArgs,
}

/// A topic, told at once when it is none.
fn topic(text: &str) -> Result<String, TopicError> {
    TopicName::new(text).map(|_| text.into())
}

/// Publishes and prints the receipts.
///
/// # Errors
/// When the hub cannot be reached or refuses, or when not every line has its receipt.
pub async fn run(args: PublishArgs) -> Result<(), CliError> {
    let hub = HubClient::reach(&args.hub)?;
    let mut out = output::stdout();
    if args.lines || args.ndjson {
        lines::publish(&hub, &args, InputLines::of(io::stdin()), &mut out).await
    } else {
        let data = match args.data.as_deref() {
            None | Some("-") => input::all(io::stdin())?,
            Some(data) => data.to_owned().into(),
        };
        one(&hub, &args, data, &mut out).await
    }
}

/// Where the query of a publish begins.
const PATH: &str = "/publish?";

/// Publishes one event.
async fn one<D: Dial>(
    hub: &HubClient<D>,
    args: &PublishArgs,
    data: Bytes,
    out: &mut impl io::Write,
) -> Result<(), CliError> {
    let mut query = Serializer::for_suffix(String::from(PATH), PATH.len());
    query.extend_pairs(args.topic.iter().map(|topic| ("topic", topic)));
    query.extend_pairs(args.event.iter().map(|name| ("event", name)));
    query.extend_pairs(args.retry.iter().map(|retry| ("retry", retry.to_string())));
    if args.close {
        query.append_pair("close", "true");
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if let Some(key) = &args.key {
        headers.insert("idempotency-key", key.clone());
    }
    match Talk::new(hub).ask(Method::POST, &query.finish(), headers, data).await {
        Ok(HubResponse::Good(receipt)) => print_line(out, receipt.trim_ascii_end()),
        Ok(HubResponse::Refused(problem)) => Err(CliError::Refused(problem)),
        Err(Silence::Unreached(error) | Silence::Broken(error)) => Err(error),
    }
}

/// Asks that the topic's streams end, when no event is there to do it.
async fn close<D: Dial>(talk: &mut Talk<'_, D>, topic: &str) -> Result<HubResponse, Silence> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let target = format!("/topics/{}", utf8_percent_encode(topic, IN_PATH));
    talk.ask(Method::PUT, &target, headers, Bytes::from_static(br#"{"closed":true}"#)).await
}

/// What a path may not carry as it is (WHATWG URL, path percent-encode set), and `%`.
const IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'%');
