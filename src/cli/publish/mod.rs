//! `gapless publish`: one event, or each line of stdin as one.
//!
//! | room | idea |
//! |---|---|
//! | this file | what to publish, and one event |
//! | `lines` | a stream of events and, at the same time, of their receipts |
//! | `input` | stdin, without a runtime waiting for it |

use std::io;

use bytes::Bytes;
use clap::value_parser;
use form_urlencoded::Serializer;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Response,
    body::Incoming,
    header::{self, HeaderMap, HeaderValue},
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{
    CliError,
    client::{Dial, Hub, HubArgs},
    output::print_line,
    problem::Problem,
};
use crate::event::record::MAX_RETRY_MS;

mod input;
mod lines;
#[cfg(test)]
mod tests;

/// What to publish.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints a receipt, a JSON object, for each event: it is durable. Without DATA the event is all of
stdin, as it is.

  gapless publish notices 'Backup done'
  date | gapless publish clock --event tick
  my-model | gapless publish jobs/42/tokens --lines --close")]
pub struct Args {
    /// Topic, as in jobs/42/tokens
    topic: String,
    /// Data of the event; - or nothing reads it from stdin
    #[arg(allow_negative_numbers = true, conflicts_with = "lines")]
    data: Option<String>,
    /// Publish each line of stdin as an event, as it arrives
    #[arg(long)]
    lines: bool,
    /// Name of the event [default: message]
    #[arg(long, value_name = "NAME")]
    event: Option<String>,
    /// Milliseconds that its readers should wait before they reconnect
    #[arg(long, value_name = "MS", value_parser = value_parser!(u32).range(..=i64::from(MAX_RETRY_MS)))]
    retry: Option<u32>,
    /// Close the topic after it: its streams end
    #[arg(long)]
    close: bool,
    /// Idempotency-Key: publishing again with the same key adds nothing
    #[arg(long, value_name = "KEY", conflicts_with = "lines")]
    key: Option<HeaderValue>,
    #[command(flatten)]
    hub: HubArgs,
}

/// Publishes and prints the receipts.
///
/// # Errors
/// When the hub cannot be reached or refuses, or when not every line has its receipt.
pub async fn run(args: Args) -> Result<(), CliError> {
    let hub = Hub::reach(&args.hub)?;
    let mut out = io::stdout().lock();
    if args.lines {
        lines::publish(&hub, &args, input::lines(io::stdin()), &mut out).await
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
async fn one<D: Dial>(hub: &Hub<D>, args: &Args, data: Bytes, out: &mut impl io::Write) -> Result<(), CliError> {
    let mut query = Serializer::for_suffix(String::from(PATH), PATH.len());
    query.append_pair("topic", &args.topic);
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
    let response = hub.send(Method::POST, &query.finish(), headers, Full::new(data)).await?;
    print_line(out, answer(response).await?.trim_ascii_end())
}

/// Ends the topic's streams, when no event is there to do it.
async fn close<D: Dial>(hub: &Hub<D>, topic: &str) -> Result<(), CliError> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let target = format!("/topics/{}", utf8_percent_encode(topic, IN_PATH));
    let body = Full::new(Bytes::from_static(br#"{"closed":true}"#));
    answer(hub.send(Method::PUT, &target, headers, body).await?).await.map(drop)
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

/// Longest answer: a receipt or a topic's state has a few hundred bytes, most of them the topic's name.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The body of a good answer.
async fn answer(response: Response<Incoming>) -> Result<Bytes, CliError> {
    if !response.status().is_success() {
        return Err(CliError::Refused(Problem::read(response).await));
    }
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
    body.map(http_body_util::Collected::to_bytes).map_err(|error| CliError::Broken(error.to_string()))
}
