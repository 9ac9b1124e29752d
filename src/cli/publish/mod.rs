//! `gapless publish`: one event, or each line of stdin as one.
//!
//! | module | idea |
//! |---|---|
//! | this file | the arguments, and publishing one event |
//! | `lines` | publishes lines as batches, with retries |
//! | `batch` | lines as envelopes, and batches of them |
//! | `ledger` | the outcome of each line |
//! | `pace` | the rate limit of batches |
//! | `connection` | requests over one connection |
//! | `input` | reads stdin on its own thread |

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
mod connection;
mod input;
mod ledger;
mod lines;
mod pace;
#[cfg(test)]
mod tests;

use self::{
    connection::{HubConnection, HubResponse, RequestFailure},
    input::InputLines,
};

/// The arguments of `gapless publish`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints a receipt, a JSON object, for each event once it is durable. Without DATA, all of stdin is
one event.

--lines and --ndjson send waiting lines as one batch with its own Idempotency-Key. While the hub
restarts, they retry, and no line is lost, doubled or reordered. A line that is not UTF-8, is not an
envelope, or is refused is reported on stderr, and the others are published. The exit code is 1 when
a line was not published; the last message says which.

  gapless publish notices 'Backup done'
  date | gapless publish clock --event tick
  my-model | gapless publish jobs/42/tokens --lines --close
  gapless tail 'jobs/**' --json | gapless publish --ndjson --url https://other.example")]
pub struct PublishArgs {
    /// Topic, as in jobs/42/tokens
    #[arg(required_unless_present = "ndjson", conflicts_with = "ndjson", value_parser = topic)]
    topic: Option<String>,
    /// Data of the event; read from stdin if it is - or missing
    #[arg(allow_negative_numbers = true, conflicts_with_all = ["lines", "ndjson"])]
    data: Option<String>,
    /// Publish each line of stdin as an event, as it arrives
    #[arg(long)]
    lines: bool,
    /// As --lines, but each line is a JSON object with topic, data, and optional event, retry and close, or as printed
    /// by tail --json
    #[arg(long, conflicts_with = "lines")]
    ndjson: bool,
    /// Name of the event [default: message]
    #[arg(long, value_name = "NAME")]
    event: Option<String>,
    /// Milliseconds that clients should wait before they reconnect
    #[arg(long, value_name = "MS", value_parser = value_parser!(u32).range(..=i64::from(MAX_RETRY_MS)))]
    retry: Option<u32>,
    /// Close the topic afterwards, which ends its streams
    #[arg(long, conflicts_with = "ndjson")]
    close: bool,
    /// Idempotency-Key: publishing again with the same key adds nothing
    #[arg(long, value_name = "KEY", conflicts_with_all = ["lines", "ndjson"])]
    key: Option<HeaderValue>,
    #[command(flatten)]
    hub: HubArgs,
}

/// Checks a topic before anything is sent.
fn topic(text: &str) -> Result<String, TopicError> {
    TopicName::new(text).map(|_| text.into())
}

/// Publishes, and prints the receipts.
///
/// # Errors
/// When the hub cannot be reached or refuses, or when not every line has its receipt.
pub async fn run(args: PublishArgs) -> Result<(), CliError> {
    let hub = HubClient::from_args(&args.hub)?;
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

/// The path, up to the query.
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
    match HubConnection::new(hub).request(Method::POST, &query.finish(), headers, data).await {
        Ok(HubResponse::Success(receipt)) => print_line(out, receipt.trim_ascii_end()),
        Ok(HubResponse::Refused(problem)) => Err(CliError::Refused(problem)),
        Err(RequestFailure::NotSent(error) | RequestFailure::MaybeSent(error)) => Err(error),
    }
}

/// Closes the topic without an event.
async fn close<D: Dial>(connection: &mut HubConnection<'_, D>, topic: &str) -> Result<HubResponse, RequestFailure> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let target = format!("/topics/{}", utf8_percent_encode(topic, IN_PATH));
    connection.request(Method::PUT, &target, headers, Bytes::from_static(br#"{"closed":true}"#)).await
}

/// Characters that are encoded in a path: the WHATWG URL path percent-encode set, and `%`.
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
