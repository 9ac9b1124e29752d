//! The arguments of `gapless publish`.

use std::path::PathBuf;

use clap::value_parser;
use hyper::header::HeaderValue;

use crate::{
    cli::client::HubArgs,
    event::{TopicName, record::MAX_RETRY_MS, topic::TopicError},
};

/// The path of a publish, up to the query.
pub(super) const PATH: &str = "/publish?";

/// The arguments of `gapless publish`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints a receipt, a JSON object, for each event once it is durable. Without DATA, all of stdin is
one event.

--lines, --ndjson and several files send waiting lines as one batch with its own Idempotency-Key.
While the hub restarts, they retry, and no line is lost, duplicated or reordered. A line that is not
UTF-8, is not an envelope, or is refused is reported on stderr, and the others are published. The
exit code is 1 when a line was not published; the last message says which.

  gapless publish notices 'Backup done'
  date | gapless publish clock --event tick
  my-model | gapless publish jobs/42/tokens --lines --close
  gapless publish frames --file frame.png --content-type image/png
  gapless publish logs/app --lines --file app.log.1 app.log
  gapless tail 'jobs/**' --json | gapless publish --ndjson --url https://other.example")]
pub struct PublishArgs {
    /// Topic, as in jobs/42/tokens
    #[arg(required_unless_present = "ndjson", conflicts_with = "ndjson", value_parser = topic)]
    pub(super) topic: Option<String>,
    /// Data of the event; read from stdin if it is - or missing
    #[arg(allow_negative_numbers = true, conflicts_with_all = ["lines", "ndjson", "file"])]
    pub(super) data: Option<String>,
    /// Read these files instead of stdin: each is an event, or with --lines or --ndjson each of its lines
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(super) file: Vec<PathBuf>,
    /// Publish each line of stdin as an event, as it arrives
    #[arg(long)]
    pub(super) lines: bool,
    /// As --lines, but each line is a JSON object with topic, data, and optional event, retry and close, or as printed
    /// by tail --json
    #[arg(long, conflicts_with = "lines")]
    pub(super) ndjson: bool,
    /// Name of the event [default: message]
    #[arg(long, value_name = "NAME")]
    pub(super) event: Option<String>,
    /// Milliseconds that clients should wait before they reconnect
    #[arg(long, value_name = "MS", value_parser = value_parser!(u32).range(..=i64::from(MAX_RETRY_MS)))]
    pub(super) retry: Option<u32>,
    /// Close the topic afterwards, which ends its streams
    #[arg(long, conflicts_with = "ndjson")]
    pub(super) close: bool,
    /// Content-Type of the data, as in image/png: data of a type that is not text need not be UTF-8
    #[arg(long, value_name = "TYPE", conflicts_with_all = ["lines", "ndjson"])]
    pub(super) content_type: Option<HeaderValue>,
    /// Idempotency-Key: publishing again with the same key adds nothing
    #[arg(long, value_name = "KEY", conflicts_with_all = ["lines", "ndjson"])]
    pub(super) key: Option<HeaderValue>,
    #[command(flatten)]
    pub(super) hub: HubArgs,
}

/// Checks a topic before anything is sent.
fn topic(text: &str) -> Result<String, TopicError> {
    TopicName::new(text).map(|_| text.into())
}
