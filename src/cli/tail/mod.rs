//! `gapless tail`: an EventSource in a terminal.
//!
//! | module | idea |
//! |---|---|
//! | this file | the arguments, and the request |
//! | `follow` | prints what is received, and keeps the last id |
//! | `start` | checks start positions before anything is sent |
//! | `state` | the file that keeps the last id over restarts |
//! | `print` | prints events and notices |
//! | `notice` | the hub's own events as messages |
//! | `json` | JSON with colours and indentation |
//! | `style` | the colours |
//! | `clock` | the times of events |

use std::{
    collections::BTreeSet,
    io::{self, BufWriter},
    path::PathBuf,
};

use clap::{ColorChoice, value_parser};
use form_urlencoded::Serializer;

use super::{CliError, client::HubArgs, output, stop};
use crate::event::{Filter, position::MAX_NEWEST, topic::TopicError};

mod clock;
mod follow;
mod json;
mod notice;
mod print;
mod start;
mod state;
mod style;
#[cfg(test)]
mod tests;

use self::{
    follow::Follower,
    print::{OutputFormat, Printer},
    state::StateFile,
};

/// The arguments of `gapless tail`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints each event's data; with several topics or a pattern, the topic before it; on a terminal also
the time, here, and the name. Reconnects until the topics are closed, and misses no event: it
continues after the last event, or, before the first one, after the position that the hub sent at
the start. Gaps (events that were trimmed before they were read) and removed events are reported on
stderr.

A connection is closed when three keepalives of the hub are missing. When the hub is unreachable, or
a proxy answers 502, 503 or 504, the command retries; a `retry` of more than 10 minutes counts as 10
minutes. On a terminal, control characters are shown as \\u001b; a pipe gets events unchanged.

--state keeps the last printed id in a file, four times a second and at the end. The next start with
it continues there, and --from counts at the first start only. SIGINT and SIGTERM end it in order:
each event is printed once. After kill -9 the last ones may be printed twice; none is lost.

  gapless tail jobs/42/tokens --from earliest
  gapless tail logs/app -n 100
  gapless tail 'orders/**' --pretty
  gapless tail 'jobs/**' --since 10m --json | jq .data
  gapless tail 'audit/**' --json --state audit.state --from earliest >> audit.ndjson")]
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
    /// Indent data that is JSON; with --json each whole object
    #[arg(long)]
    pretty: bool,
    /// Colours: auto is on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
    /// Keep the last printed id in this file, and continue after it
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
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

/// Follows until the topics are closed, `--count` is reached, or the reader of stdout is gone; with `--state` also until
/// SIGINT, SIGTERM or SIGHUP.
///
/// # Errors
/// When the hub refuses, stdout cannot be written to, or the state file cannot be used. After a lost connection it
/// reconnects.
pub async fn run(args: TailArgs) -> Result<(), CliError> {
    let hub = args.hub.client()?;
    let state = args.state.as_ref().map(|path| StateFile::open(path, &args.topics, io::stdout())).transpose()?;
    // Without a state there is nothing to finish.
    let stop = if state.is_some() { Some(stop::listen(|| {}).map_err(CliError::Signals)?) } else { None };
    let (out, notes) = (output::stdout().colored(args.color), output::stderr().colored(args.color));
    let format = args.format(out.is_terminal());
    let printer = Printer::new(out.map(BufWriter::new), notes, format, args.count).pretty(args.pretty);
    let (target, topics) = (args.target(format), args.exact_topics());
    let follower = Follower::new(&hub, target, args.last_event_id, printer);
    let mut follower = follower.until_the_end_of(topics).keeping(state);
    let outcome = tokio::select! {
        outcome = follower.follow() => outcome,
        // A quiet topic may have no events for hours, so a closed stdout is noticed without a write.
        () = output::reader_gone(io::stdout()) => Err(CliError::OutputClosed),
        signal = async { stop.expect("checked").await }, if stop.is_some() => Err(CliError::Stopped(signal)),
    };
    match (outcome, follower.save()) {
        (Err(quiet), Err(error)) if quiet.is_quiet() => Err(error),
        (outcome, saved) => outcome.and(saved),
    }
}

/// The path, up to the query.
const PATH: &str = "/events?";

impl TailArgs {
    /// The path and query of the request, for a format.
    fn target(&self, format: OutputFormat) -> String {
        let mut query = Serializer::for_suffix(String::from(PATH), PATH.len());
        query.extend_pairs(self.topics.iter().map(|topic| ("topic", topic)));
        query.extend_pairs(self.from.iter().map(|position| ("from", position)));
        query.extend_pairs(self.last.iter().map(|count| ("from", format!("last:{count}"))));
        query.extend_pairs(self.since.iter().map(|time| ("since", time)));
        if format != OutputFormat::Data {
            query.append_pair("format", "json");
        }
        query.finish()
    }

    /// The topics; `None` with a pattern, which later topics may match.
    fn exact_topics(&self) -> Option<BTreeSet<String>> {
        let patterns = self.topics.iter().any(|topic| topic.contains('*'));
        (!patterns).then(|| self.topics.iter().cloned().collect())
    }

    fn format(&self, is_terminal: bool) -> OutputFormat {
        let with_topic = self.topics.len() > 1 || self.topics[0].contains('*');
        if self.json {
            OutputFormat::Json
        } else if is_terminal {
            OutputFormat::Human { with_topic }
        } else if with_topic {
            OutputFormat::TopicAndData
        } else {
            OutputFormat::Data
        }
    }
}
