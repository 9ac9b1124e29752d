//! `gapless tail`: an EventSource in a terminal.
//!
//! | module | idea |
//! |---|---|
//! | this file | the arguments, and the request |
//! | `follow` | connects, reads, keeps the last id, and reconnects |
//! | `start` | checks start positions before anything is sent |
//! | `print` | prints events and notices |

use std::{
    collections::BTreeSet,
    io::{self, BufWriter},
};

use clap::value_parser;
use form_urlencoded::Serializer;

use super::{
    CliError,
    client::{HubArgs, HubClient},
    output,
};
use crate::event::{Filter, position::MAX_NEWEST, topic::TopicError};

mod follow;
mod print;
mod start;
#[cfg(test)]
mod tests;

use self::{
    follow::Follower,
    print::{OutputFormat, Printer},
};

/// The arguments of `gapless tail`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints each event's data; with several topics or a pattern, the topic before it. Reconnects until
the topics are closed, and misses no event: it continues after the last event, or, before the first
one, after the position that the hub sent at the start. Gaps (events that were trimmed before they
were read) and removed events are reported on stderr.

A connection is closed when three keepalives of the hub are missing. When the hub is unreachable, or
a proxy answers 502, 503 or 504, the command retries; a `retry` of more than 10 minutes counts as 10
minutes. On a terminal, control characters are shown as \\u001b; a pipe gets events unchanged.

  gapless tail jobs/42/tokens --from earliest
  gapless tail logs/app -n 100
  gapless tail 'jobs/**' --since 10m --json | jq .data")]
pub struct TailArgs {
    /// Topics, or patterns: * is one segment, a final ** one or more
    #[arg(required = true, value_name = "TOPIC", value_parser = topic)]
    topics: Vec<String>,
    /// Where to start: earliest, now, last:N, or the id of an event, to start after it [default: now]
    #[arg(long, value_name = "POSITION", group = "start", value_parser = start::position)]
    from: Option<String>,
    /// Start with the newest N retained events, of all topics together; same as --from last:N
    #[arg(short = 'n', long, value_name = "N", group = "start", value_parser = value_parser!(u64).range(1..=MAX_NEWEST))]
    last: Option<u64>,
    /// Start at the first event since an age (10m, 1h 30m) or a time (RFC 3339 or Unix)
    #[arg(long, value_name = "TIME", group = "start", value_parser = start::since)]
    since: Option<String>,
    /// Start after this id, as a reconnecting EventSource does
    #[arg(long, value_name = "ID", group = "start")]
    last_event_id: Option<String>,
    /// Print a JSON object per line: topic, id, time, event and data
    #[arg(long)]
    json: bool,
    /// Stop after this many events
    #[arg(long, value_name = "COUNT", value_parser = value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    hub: HubArgs,
}

/// Checks a topic or pattern before anything is sent, so that a mistake is reported even if the hub is unreachable.
fn topic(text: &str) -> Result<String, TopicError> {
    Filter::new(text).map(|_| text.into())
}

/// Follows until the topics are closed, `--count` is reached, or the reader of stdout is gone.
///
/// # Errors
/// When the hub refuses, or stdout cannot be written to. After a lost connection it reconnects.
pub async fn run(args: TailArgs) -> Result<(), CliError> {
    let hub = HubClient::from_args(&args.hub)?;
    let printer = Printer::new(output::stdout().map(BufWriter::new), output::stderr(), args.format(), args.count);
    let (target, topics) = (args.target(), args.exact_topics());
    let follower = Follower::new(&hub, target, args.last_event_id, printer).until_the_end_of(topics);
    tokio::select! {
        outcome = follower.follow() => outcome,
        // A quiet topic may have no events for hours, so a closed stdout is noticed without a write.
        () = output::reader_gone(io::stdout()) => Err(CliError::OutputClosed),
    }
}

/// The path, up to the query.
const PATH: &str = "/events?";

impl TailArgs {
    /// The path and query of the request.
    fn target(&self) -> String {
        let mut query = Serializer::for_suffix(String::from(PATH), PATH.len());
        query.extend_pairs(self.topics.iter().map(|topic| ("topic", topic)));
        query.extend_pairs(self.from.iter().map(|position| ("from", position)));
        query.extend_pairs(self.last.iter().map(|count| ("from", format!("last:{count}"))));
        query.extend_pairs(self.since.iter().map(|time| ("since", time)));
        if self.format() != OutputFormat::Data {
            query.append_pair("format", "json");
        }
        query.finish()
    }

    /// The topics; `None` with a pattern, which later topics may match.
    fn exact_topics(&self) -> Option<BTreeSet<String>> {
        let patterns = self.topics.iter().any(|topic| topic.contains('*'));
        (!patterns).then(|| self.topics.iter().cloned().collect())
    }

    fn format(&self) -> OutputFormat {
        if self.json {
            OutputFormat::Json
        } else if self.topics.len() > 1 || self.topics[0].contains('*') {
            OutputFormat::TopicAndData
        } else {
            OutputFormat::Data
        }
    }
}
