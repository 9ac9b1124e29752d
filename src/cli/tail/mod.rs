//! `gapless tail`: an EventSource in a terminal.
//!
//! | room | idea |
//! |---|---|
//! | this file | what to ask for |
//! | `follow` | connect, read, remember the last id, connect again |
//! | `delay` | how long to wait in between |
//! | `print` | an event as lines |

use std::io::{self, BufWriter};

use clap::value_parser;
use form_urlencoded::Serializer;

use super::{
    CliError,
    client::{Hub, HubArgs},
};

mod delay;
mod follow;
mod print;
#[cfg(test)]
mod tests;

use self::{
    follow::Follower,
    print::{Printer, Shape},
};

/// What to follow.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints each event's data; with several topics or a pattern, the topic before it. Reconnects after
the last id it has seen, so that no event is missed, until the topics are closed. A gap (events
trimmed before they were seen) is told on stderr.

  gapless tail jobs/42/tokens --from earliest
  gapless tail 'jobs/**' --since 10m --json | jq .data")]
pub struct Args {
    /// Topics, or patterns: * is one segment, a final ** one or more
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Where to start: earliest, now, or the id of an event, to start after it [default: now]
    #[arg(long, value_name = "PLACE", group = "start")]
    from: Option<String>,
    /// Start at the first event since then: 10m, 2h, or a time as in RFC 3339
    #[arg(long, value_name = "TIME", group = "start")]
    since: Option<String>,
    /// Start after this id, as a reconnecting EventSource does
    #[arg(long, value_name = "ID", group = "start")]
    last_event_id: Option<String>,
    /// Print a JSON object a line: topic, id, time, event and data
    #[arg(long)]
    json: bool,
    /// Stop after so many events
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    hub: HubArgs,
}

/// Follows until the topics are closed, `--count` is reached, or nobody reads the output any more.
///
/// # Errors
/// When the hub refuses, or stdout cannot be written. A lost connection is none: it is made again.
pub async fn run(args: Args) -> Result<(), CliError> {
    let hub = Hub::reach(&args.hub)?;
    let printer = Printer::new(BufWriter::new(io::stdout().lock()), io::stderr(), args.shape(), args.count);
    Follower::new(&hub, args.target(), args.last_event_id, printer).follow().await
}

/// Where the query of a subscription begins.
const PATH: &str = "/events?";

impl Args {
    /// The path and query to ask for.
    fn target(&self) -> String {
        let mut query = Serializer::for_suffix(String::from(PATH), PATH.len());
        query.extend_pairs(self.topics.iter().map(|topic| ("topic", topic)));
        query.extend_pairs(self.from.iter().map(|place| ("from", place)));
        query.extend_pairs(self.since.iter().map(|time| ("since", time)));
        if self.shape() != Shape::Data {
            query.append_pair("format", "json");
        }
        query.finish()
    }

    fn shape(&self) -> Shape {
        if self.json {
            Shape::Json
        } else if self.topics.len() > 1 || self.topics[0].contains('*') {
            Shape::TopicAndData
        } else {
            Shape::Data
        }
    }
}
