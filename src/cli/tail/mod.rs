//! `gapless tail`: an EventSource in a terminal.
//!
//! | room | idea |
//! |---|---|
//! | this file | what to ask for |
//! | `follow` | connect, read, remember the last id, connect again |
//! | `start` | where to start, read before anything is sent |
//! | `print` | an event as lines |

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
use crate::event::{Filter, topic::TopicError};

mod follow;
mod print;
mod start;
#[cfg(test)]
mod tests;

use self::{
    follow::Follower,
    print::{OutputFormat, Printer},
};

/// What to follow.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints each event's data; with several topics or a pattern, the topic before it. Reconnects after
the last id it has seen, and before any event after the position that the hub gives with the first
bytes, so that no event is missed, until the topics are closed. What is missing all the same (a gap:
events trimmed before they were seen) is told on stderr, and so is an event that was taken back.

A connection is given up when three keepalives of the hub are missing. A hub that is away, and a
proxy's 502, 503 or 504, are waited for; a `retry` of more than 10 minutes is taken as 10 minutes.
On a terminal control characters are shown as \\u001b; a pipe gets events as they are.

  gapless tail jobs/42/tokens --from earliest
  gapless tail logs/app -n 100
  gapless tail 'jobs/**' --since 10m --json | jq .data")]
pub struct TailArgs {
    /// Topics, or patterns: * is one segment, a final ** one or more
    #[arg(required = true, value_name = "TOPIC", value_parser = topic)]
    topics: Vec<String>,
    /// Where to start: earliest, now, last:N, or the id of an event, to start after it [default: now]
    #[arg(long, value_name = "PLACE", group = "start", value_parser = start::place)]
    from: Option<String>,
    /// Start with the newest N events that are kept, of all topics together; --from last:N is the same
    #[arg(short = 'n', long, value_name = "N", group = "start", value_parser = value_parser!(u64).range(1..=start::MAX_LAST))]
    last: Option<u64>,
    /// Start at the first event since then: 10m, 2h, or a time, RFC 3339 or Unix
    #[arg(long, value_name = "TIME", group = "start", value_parser = start::since)]
    since: Option<String>,
    /// Start after this id, as a reconnecting EventSource does
    #[arg(long, value_name = "ID", group = "start")]
    last_event_id: Option<String>,
    /// Print a JSON object a line: topic, id, time, event and data
    #[arg(long)]
    json: bool,
    /// Stop after so many events
    #[arg(long, value_name = "COUNT", value_parser = value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    hub: HubArgs,
}

/// A topic or pattern, told at once when it is none: a hub that is away could not.
fn topic(text: &str) -> Result<String, TopicError> {
    Filter::new(text).map(|_| text.into())
}

/// Follows until the topics are closed, `--count` is reached, or nobody reads the output any more.
///
/// # Errors
/// When the hub refuses, or stdout cannot be written. A lost connection is none: it is made again.
pub async fn run(args: TailArgs) -> Result<(), CliError> {
    let hub = HubClient::reach(&args.hub)?;
    let printer = Printer::new(output::stdout().map(BufWriter::new), output::stderr(), args.shape(), args.count);
    let (target, topics) = (args.target(), args.finite());
    let follower = Follower::new(&hub, target, args.last_event_id, printer).until_the_end_of(topics);
    tokio::select! {
        outcome = follower.follow() => outcome,
        // A quiet topic may be silent for hours: a reader that is gone is noticed without anything to write.
        () = output::reader_gone(io::stdout()) => Err(CliError::OutputClosed),
    }
}

/// Where the query of a subscription begins.
const PATH: &str = "/events?";

impl TailArgs {
    /// The path and query to ask for.
    fn target(&self) -> String {
        let mut query = Serializer::for_suffix(String::from(PATH), PATH.len());
        query.extend_pairs(self.topics.iter().map(|topic| ("topic", topic)));
        query.extend_pairs(self.from.iter().map(|place| ("from", place)));
        query.extend_pairs(self.last.iter().map(|count| ("from", format!("last:{count}"))));
        query.extend_pairs(self.since.iter().map(|time| ("since", time)));
        if self.shape() != OutputFormat::Data {
            query.append_pair("format", "json");
        }
        query.finish()
    }

    /// The topics, unless more of them may come.
    fn finite(&self) -> Option<BTreeSet<String>> {
        let patterns = self.topics.iter().any(|topic| topic.contains('*'));
        (!patterns).then(|| self.topics.iter().cloned().collect())
    }

    fn shape(&self) -> OutputFormat {
        if self.json {
            OutputFormat::Json
        } else if self.topics.len() > 1 || self.topics[0].contains('*') {
            OutputFormat::TopicAndData
        } else {
            OutputFormat::Data
        }
    }
}
